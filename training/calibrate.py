"""How long a step takes on this machine, so that a wish in minutes becomes a number of images."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from napari_pgan.training.loop import Trainer
from napari_pgan.training.reals import Reals
from napari_pgan.training.schedule import Moment, Schedule

_REPEATS = 3
_ASIDE = 0.08  # share of the time that goes into previews, distances and checkpoints


def seconds_per_image(
    make_trainer: Callable[[], Trainer], make_reals: Callable[[int], Reals], schedule: Schedule
) -> dict[tuple[int, bool], float]:
    """Seconds that one real image costs, by (stage, fading), measured on steps of a trainer that is thrown away.

    Lazy penalties count with their share. Each figure is the median of a few steps after one to warm up.
    """
    trainer, costs = make_trainer(), {}
    lazy = trainer.recipe.loss.lazy
    for phase in schedule.phases:
        reals = make_reals(phase.size)
        alpha = 0.5 if phase.fading else 1.0
        penalized = _median_step(trainer, Moment(phase, alpha, 0), reals)
        plain = _median_step(trainer, Moment(phase, alpha, 1), reals) if lazy > 1 else penalized
        costs[phase.stage, phase.fading] = (penalized + (lazy - 1) * plain) / lazy / phase.batch
    return costs


def images_for(minutes: float, schedule: Schedule, costs: dict[tuple[int, bool], float]) -> int:
    """How many images the whole schedule may see to take that many minutes, all phases stretched alike."""
    spent = sum((p.end - p.start) * costs[p.stage, p.fading] for p in schedule.phases)
    return max(1, int(schedule.images * minutes * 60 * (1 - _ASIDE) / spent))


def _median_step(trainer: Trainer, moment: Moment, reals: Reals) -> float:
    times = []
    for _ in range(1 + _REPEATS):
        began = time.perf_counter()
        trainer.step(moment, reals)
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])  # the first one warms up
