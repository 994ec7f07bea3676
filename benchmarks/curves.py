"""Plot each run's sliced Wasserstein distance to held-out subjects over time, from its metrics.

python benchmarks/curves.py "before=old/run" "after=new/run" --out docs/images/hour.png
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def curve(run: Path) -> list[tuple[float, int, float]]:
    """(minutes, size, mean sliced Wasserstein distance) of each evaluation of a run."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [
        (row["minutes"], row["size"], next(v for k, v in row.items() if k.startswith("swd_"))["mean"])
        for row in rows
        if any(k.startswith("swd_") for k in row)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="LABEL=FOLDER of a run")
    parser.add_argument("--out", type=Path, required=True, help="figure file")
    parser.add_argument("--baseline", type=float, help="real-vs-real baseline, drawn as a line")
    options = parser.parse_args()
    figure, axes = plt.subplots(figsize=(8, 4.2), constrained_layout=True)
    for number, argument in enumerate(options.runs):
        label, _, folder = argument.partition("=")
        points = curve(Path(folder))
        axes.plot([p[0] for p in points], [p[2] for p in points], "o-", ms=3.5, color=f"C{number}", label=label)
        for before, after in itertools.pairwise(points):
            if after[1] != before[1]:
                axes.annotate(
                    f"{after[1]}²", after[::2], (0, 7), textcoords="offset points", ha="center", color=f"C{number}"
                )
        print(f"{label}: " + "  ".join(f"{m:.0f} min {s}² {d:.1f}" for m, s, d in points[-4:]))
    if options.baseline is not None:
        axes.axhline(options.baseline, color="0.5", ls="--", lw=1, label="baseline: real vs real subjects")
    axes.set(xlabel="minutes of training", ylabel="sliced Wasserstein distance × 10³", yscale="log")
    axes.set_yticks([30, 40, 60, 80, 100, 150, 200], [30, 40, 60, 80, 100, 150, 200])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()
