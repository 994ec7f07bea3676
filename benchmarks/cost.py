"""Cost of a training step by image size, batch size and width, and its time by kind of operation.

    python benchmarks/cost.py --threads 2

The floating-point operations of real steps (forward, backward and the penalty's double backward, without element-wise
operations) are divided by the time, and compared with the machine's rate in plain matrix products.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
from breakdown import CONVOLUTIONS, KINDS, PRODUCTS, break_down
from matplotlib.ticker import LogLocator
from operations import count, rates
from results import begin, options, table, write
from stopwatch import blend, interleave
from trial import Trial

matplotlib.use("Agg")  # no display
PICTURES = Path(__file__).parents[1] / "docs" / "images"
IDEAL = "operations at the matrix rate"
CONVOLVING = "convolutions and products, slower than that"


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--sizes", type=int, nargs="*", default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--widths", type=int, nargs="*", default=[16, 32, 64, 128, 256])
    parser.add_argument("--size", type=int, default=32, help="image size of the batch and width measurements")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=2048, help="side of the matrices that measure the machine's rate")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of the figures")
    arguments = parser.parse_args(argv)
    device = begin(arguments)
    recipe, size = arguments.recipe, arguments.size

    reached = rates(device, (torch.float32, torch.bfloat16), side=arguments.side)
    by_size = [measure(Trial(recipe, s, device=device), arguments, s, reached) for s in arguments.sizes]
    by_batch = [measure(Trial(recipe, size, b, device=device), arguments, b, reached) for b in arguments.batches]
    by_width = [measure(Trial(recipe, size, 16, [w], device), arguments, w, reached) for w in arguments.widths]
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    draw_shares(by_size, arguments.pictures / "cost_shares.png")
    draw_growth(by_size, by_batch, by_width, size, arguments.pictures / "cost_growth.png")
    tables = {
        "rates": rates_table(reached),
        "size": cost_table("size", by_size),
        "shares": shares_table(by_size),
        "batch": cost_table("batch", by_batch),
        "width": cost_table("maps", by_width),
    }
    figures: dict[str, object] = {"rates": reached, "by_size": by_size, "by_batch": by_batch, "by_width": by_width}
    write(arguments.out, "cost", figures, tables, device, argv)


def measure(trial: Trial, arguments: argparse.Namespace, at: int, reached: dict[str, float]) -> dict:
    """Time, operations and shares of one setting, averaged over steps with and without the lazy penalty."""
    share = 1 / trial.lazy
    times = interleave(
        {"penalty": lambda: trial.step(True), "plain": lambda: trial.step(False)},
        arguments.rounds,
        trial.trainer.device,
    )
    seconds = blend([(times["penalty"], share), (times["plain"], 1 - share)]).median
    penalized, plain = count(lambda: trial.step(True)), count(lambda: trial.step(False))
    operations = share * penalized.operations + (1 - share) * plain.operations
    rate = reached[f"matrix {'bfloat16' if trial.recipe.precision == 'bf16' else 'float32'}"]
    row = {
        "at": at,
        "batch": trial.batch,
        "widths": list(trial.architecture.widths),
        "parameters": trial.parameters(),
        "images_per_second": trial.batch / seconds,
        "operations_per_image": operations / trial.batch,
        "operations_per_second": operations / seconds,
        "share_of_matrix_rate": operations / seconds / rate,
        "penalty_seconds": times["penalty"].median,
        "plain_seconds": times["plain"].median,
    }
    if trial.trainer.device.type == "cpu":
        parts = [break_down(lambda p=p: trial.step(p)) for p in (True, False)]
        row["shares"] = shares(
            {kind: share * parts[0][kind] + (1 - share) * parts[1][kind] for kind in KINDS}, seconds, operations / rate
        )
    return row


def shares(parts: dict[str, float], seconds: float, ideal: float) -> dict[str, float]:
    """Shares of a step's time: the profiler's shares, scaled to the time without profiler."""
    total = sum(parts.values())
    by_kind = {kind: part / total for kind, part in parts.items()}
    convolving = by_kind.pop(CONVOLUTIONS) + by_kind.pop(PRODUCTS)
    best = min(ideal / seconds, convolving)
    return {IDEAL: best, CONVOLVING: convolving - best, **by_kind}


def rates_table(reached: dict[str, float]) -> str:
    rows = [
        [kind, *(f"{reached[f'{kind} {number}'] / 1e9:.0f}" for number in ("float32", "bfloat16"))]
        for kind in ("matrix", "convolution")
    ]
    return table(["GFLOP/s reached", "float32", "bf16"], rows)


def cost_table(what: str, rows: list[dict]) -> str:
    """One row per setting; `what` is the varied parameter."""
    columns: dict[str, Callable[[dict], str]] = {
        "size": lambda row: f"{row['at']}²",
        "maps": lambda row: _ends(row["widths"]),
        "batch": lambda row: str(row["batch"]),
        "images/s": lambda row: f"{row['images_per_second']:.3g}",
        "GFLOP an image": lambda row: f"{row['operations_per_image'] / 1e9:.3g}",
        "GFLOP/s": lambda row: f"{row['operations_per_second'] / 1e9:.0f}",
        "share of the matrix rate": lambda row: f"{row['share_of_matrix_rate']:.0%}",
    }
    constant = {"size": (), "maps": ("size", "batch"), "batch": ("size", "maps")}[what]
    shown = {name: text for name, text in columns.items() if name not in constant}
    return table(list(shown), [[text(row) for text in shown.values()] for row in rows])


def _ends(widths: Sequence[int]) -> str:
    """The widest and the narrowest stage."""
    return f"{max(widths)}" if len(set(widths)) == 1 else f"{max(widths)}–{min(widths)}"


def shares_table(rows: list[dict]) -> str:
    rows = [row for row in rows if "shares" in row]
    if not rows:
        return "Shares of the time are measured on a CPU only."
    kinds = list(rows[0]["shares"])
    return table(
        ["share of a step's time", *(f"{row['at']}²" for row in rows)],
        [[kind, *(f"{row['shares'][kind]:.0%}" for row in rows)] for kind in kinds],
    )


def draw_shares(rows: list[dict], path: Path) -> None:
    rows = [row for row in rows if "shares" in row]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    bottom = [0.0] * len(rows)
    colors = ["#1b9e77", "#66c2a5", "#e6ab02", "#d95f02", "#7570b3", "#a6761d", "#b0b0b0"]
    for kind, color in zip(rows[0]["shares"], colors, strict=True):
        part = [100 * row["shares"][kind] for row in rows]
        axes.bar([f"{row['at']}²" for row in rows], part, bottom=bottom, color=color, label=kind, width=0.7)
        bottom = [a + b for a, b in zip(bottom, part, strict=True)]
    axes.set(
        ylabel="share of a step's time, %",
        ylim=(0, 100),
        title="Time of a training step by operation",
    )
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_growth(by_size: list[dict], by_batch: list[dict], by_width: list[dict], size: int, path: Path) -> None:
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
    titles = ("by size", f"by batch, at {size}²", f"by maps, at {size}², batch 16")
    for axes, rows, title in zip(panels, (by_size, by_batch, by_width), titles, strict=True):
        if rows:
            at = [row["at"] for row in rows]
            axes.loglog(at, [row["images_per_second"] for row in rows], "o-", color="#1b9e77")
            axes.set_xticks(at, [str(x) for x in at])
            axes.minorticks_off()
            for row in rows:
                axes.annotate(
                    f"{row['share_of_matrix_rate']:.0%}",
                    (row["at"], row["images_per_second"]),
                    textcoords="offset points",
                    xytext=(5, 5 if rows is not by_batch else -11),
                    fontsize=8,
                )
            axes.margins(x=0.12, y=0.12)
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("images a second")
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[0].yaxis.set_major_formatter("{x:g}")
    figure.suptitle("Training speed; labels: share of the machine's matrix rate", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
