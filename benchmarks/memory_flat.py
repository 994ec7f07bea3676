"""Does the memory of a long training grow? Resident memory over thousands of steps at the widths of `demo`.

    python benchmarks/memory_flat.py --threads 1

Half of the steps fade in the last size, half are stable.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import psutil
from results import begin, options, table, write
from trial import Trial

from napari_pgan.training.schedule import Moment

matplotlib.use("Agg")  # no display
PICTURES = Path(__file__).parents[1] / "docs" / "images"
_LOSS_INTERVAL = 50  # steps between readings of the losses, as in a run


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--settled", type=int, default=500, help="step from which growth is measured")
    parser.add_argument("--every", type=int, default=25, help="steps between readings of the memory")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of the figure")
    arguments = parser.parse_args(argv)
    device = begin(arguments)

    trial = Trial(arguments.recipe, arguments.size, device=device)
    began = time.perf_counter()
    steps, memory = follow(trial, arguments.steps, arguments.every)
    seconds = time.perf_counter() - began
    growth = growth_from(steps, memory, arguments.settled)
    arguments.pictures.mkdir(parents=True, exist_ok=True)
    draw(steps, memory, arguments.settled, arguments.pictures / "memory_flat.png")
    figures: dict[str, object] = {
        "recipe": arguments.recipe,
        "size": arguments.size,
        "batch": trial.batch,
        "widths": list(trial.architecture.widths),
        "steps": steps,
        "bytes": memory,
        "seconds": seconds,
        "growth": growth,
    }
    text = table(
        ["steps", f"at step {arguments.settled}", "at the end", "at most in between"],
        [
            [
                f"{arguments.steps:,}",
                _mib(growth["settled"]),
                f"{_mib(growth['end'])}, **{growth['growth']:+.1%}**",
                f"{_mib(growth['greatest'])}, {growth['at_most']:+.1%}",
            ]
        ],
    )
    write(arguments.out, "memory_flat", figures, {"memory": text}, device, argv)


def follow(trial: Trial, count: int, every: int) -> tuple[list[int], list[int]]:
    """Train; return the steps at which memory was read, and the bytes."""
    fading = replace(trial.phase, fading=True)
    half = count // 2
    steps, memory = [], []
    for i in range(count):
        moment = Moment(fading, i / half, i) if i < half else Moment(trial.phase, 1.0, i)
        losses = trial.trainer.step(moment, trial.dataset)
        if i % _LOSS_INTERVAL == 0:
            for loss in losses.values():
                loss.item()
            if not trial.trainer.all_finite():
                raise SystemExit(f"a loss or gradient was not finite by step {i}")
        if i % every == 0 or i == count - 1:
            steps.append(i)
            memory.append(resident())
    return steps, memory


def resident() -> int:
    """Resident bytes of this process."""
    return int(psutil.Process().memory_info().rss)


def growth_from(steps: Sequence[int], memory: Sequence[int], settled: int) -> dict[str, float]:
    """Growth from the settled step to the end, as medians of five readings, and to the maximum in between."""
    later = [m for s, m in zip(steps, memory, strict=True) if s >= settled]
    first, last = statistics.median(later[:5]), statistics.median(later[-5:])
    growth = {"growth": last / first - 1, "at_most": max(later) / first - 1}
    return {"settled": first, "end": last, "greatest": max(later), **growth}


def draw(steps: Sequence[int], memory: Sequence[int], settled: int, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.plot(steps, [m / 2**20 for m in memory], color="#1b9e77")
    axes.axvline(settled, color="#999999", ls="--", lw=1)
    axes.set(xlabel="step", ylabel="resident memory, MiB", ylim=(0, 1.15 * max(memory) / 2**20))
    axes.set_title("Memory over a long training")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _mib(count: float) -> str:
    return f"{count / 2**20:.0f} MiB"


if __name__ == "__main__":
    main()
