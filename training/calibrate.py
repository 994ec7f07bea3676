"""How long a step takes on this machine, so that a wish in minutes becomes a number of images."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from napari_pgan.training.counts import operations, parameters
from napari_pgan.training.dataset import Dataset
from napari_pgan.training.memory import micro_batches
from napari_pgan.training.schedule import Moment, Schedule
from napari_pgan.training.trainer import Trainer

_REPEATS, _WARM = 3, {"cuda": 5}  # steps that are timed, and before them; on CUDA the fourth is captured as a graph
_PATIENCE = 1.0  # seconds that a step may take: larger batches are measured on a part of them
_LIMIT = 5.0  # seconds that a step of one image may take: what takes longer is not measured at all
_BUDGET = 25.0  # seconds after which the sizes that remain are not measured
_GUESS = {"cpu": 2e9}  # multiply-adds of one forward pass that a step does a second, before anything is measured

Key = tuple[int, bool]  # stage, and whether it fades in


@dataclass(frozen=True)
class Cost:
    """What one real image costs.

    Parameters
    ----------
    seconds
        Of the training.
    measured
        On steps of the whole batch; otherwise on a part of it, or from another size by operations counted.
    """

    seconds: float
    measured: bool


def calibrate(trainer: Trainer, schedule: Schedule) -> dict[Key, Cost]:
    """The cost of an image in every phase, measured in about half a minute at most.

    A step is timed on noise in the shape of the cohort's images. What would take long on this machine is timed on fewer
    images; a size at which a single one takes many seconds is estimated from the size below. For these a step is taken
    to cost a share for every parameter in use, and one for every operation of an image. Lazy penalties count with
    their share.

    Parameters
    ----------
    trainer
        To be thrown away: its networks are trained on noise.
    schedule
        Whose phases are measured.
    """
    costs: dict[Key, Cost] = {}
    began, count = time.perf_counter(), operations(trainer.architecture)
    held = {stage: sum(parameters(trainer.architecture, stage)) for stage in range(len(count))}
    speed = _GUESS.get(trainer.device.type, 1e12)  # operations a second
    update: float | None = None  # seconds a parameter
    for phase in sorted(schedule.phases, key=lambda p: (p.stage, p.fading)):  # stable first, the plainer one
        key, stable = (phase.stage, phase.fading), costs.get((phase.stage, False))
        image = count[phase.stage] / speed
        late = time.perf_counter() - began > _BUDGET
        if late or image > _LIMIT or (stable and not stable.measured):
            shared = (update or 0.0) * held[phase.stage] / phase.batch
            costs[key] = stable or Cost(image + shared, False)
            continue
        moment = Moment(phase, 0.5 if phase.fading else 1.0, 0)
        batch = min(phase.batch, max(1, int(_PATIENCE / image)))
        seconds = _seconds(trainer, moment, batch)
        if update is None:
            alone = _seconds(trainer, moment, 1) if batch > 1 else seconds
            each = (seconds - alone) / (batch - 1) if batch > 1 else seconds
            update = max(alone - each, 0.0) / held[phase.stage]
        shared = min(update * held[phase.stage], seconds / 2)
        image = (seconds - shared) / batch
        speed = count[phase.stage] / image
        costs[key] = Cost(image + shared / phase.batch, batch == phase.batch)
    return costs


def images_for(seconds: float, schedule: Schedule, costs: dict[Key, Cost], looks: float) -> int:
    """How many images the whole schedule may see in that time, all phases stretched alike.

    Parameters
    ----------
    seconds
        The time that there is.
    schedule, costs
        What `calibrate` measured, on a schedule of any length.
    looks
        Seconds that all looks at the training take; half of the time is left for steps even so.
    """
    spent = sum((p.end - p.start) * costs[p.stage, p.fading].seconds for p in schedule.phases)
    return max(1, int(schedule.images * max(seconds - looks, seconds / 2) / spent))


class _Noise(Dataset):
    """Stands in for a cohort, which may be large, and slow to read."""

    def __init__(self, trainer: Trainer, stage: int, count: int) -> None:
        a = trainer.architecture
        noise = torch.rand(count, a.channels, *a.shape(stage)).mul_(2).sub_(1).half()
        super().__init__(noise, torch.zeros(count, a.conditions), trainer.device)


def _seconds(trainer: Trainer, moment: Moment, batch: int) -> float:
    """Of a step with so many images, penalties with their share."""
    trainer.split = min(micro_batches(trainer, moment.phase), batch)
    reals, lazy = _Noise(trainer, moment.phase.stage, batch), trainer.recipe.loss.lazy
    moment = replace(moment, phase=replace(moment.phase, batch=batch))
    penalized = _median_step(trainer, moment, reals)
    plain = _median_step(trainer, replace(moment, step=1), reals) if lazy > 1 else penalized
    return (penalized + (lazy - 1) * plain) / lazy


def _median_step(trainer: Trainer, moment: Moment, reals: Dataset) -> float:
    warm = _WARM.get(trainer.device.type, 1)
    times: list[float] = []
    for done in range(warm + _REPEATS):
        began = time.perf_counter()
        trainer.step(moment, reals)
        _wait(trainer.device)
        times.append(time.perf_counter() - began)
        if done >= warm and sum(times) > 2 * _PATIENCE:
            break
    return statistics.median(times[warm:])


def _wait(device: torch.device) -> None:
    module: Any = getattr(torch, device.type, None)
    if device.type in ("cuda", "mps"):
        module.synchronize()
