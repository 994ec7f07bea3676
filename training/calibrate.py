"""Time steps on this machine, to convert minutes to a number of images."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace

import torch

from napari_pgan.training.dataset import Dataset
from napari_pgan.training.memory import micro_batches
from napari_pgan.training.operation_counts import operations, parameters
from napari_pgan.training.out_of_memory import does_not_fit, is_out_of_memory
from napari_pgan.training.schedule import Moment, Schedule
from napari_pgan.training.trainer import Trainer

_REPEATS, _WARM = 3, {"cuda": 5}  # timed steps, and steps before them; on CUDA the fourth captures a graph
_STEP_LIMIT = 1.0  # seconds of a step; above, only a part of the batch is timed
_IMAGE_LIMIT = 5.0  # seconds of a step of one image; above, nothing is timed
_BUDGET = 25.0  # seconds of all measurements; the sizes that remain are estimated
_GUESS = {"cpu": 2e9}  # multiply-adds (of one forward pass) per second of training, before anything is measured

Key = tuple[int, bool]  # stage, and whether it fades in


@dataclass(frozen=True)
class Cost:
    """The seconds of training for one real image.

    They are `measured` if steps of the whole batch were timed, and else extrapolated from a part of the batch or from
    another size.
    """

    seconds: float
    measured: bool


def calibrate(trainer: Trainer, schedule: Schedule) -> dict[Key, Cost]:
    """Measure the cost of an image in every phase, in about half a minute at most.

    Steps on noise are timed. If a step takes long, it is timed with fewer images. A size at which one image takes many
    seconds is estimated from the size below, by a model in which a step costs a constant for each parameter in use and
    another for each operation on an image. Lazy penalties count with their share. Raises InputError if memory runs out.

    The networks of `trainer` are trained on noise and useless afterwards.
    """
    try:
        return _calibrate(trainer, schedule)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise does_not_fit(schedule.phases[-1], trainer.device) from error
        raise


def _calibrate(trainer: Trainer, schedule: Schedule) -> dict[Key, Cost]:
    costs: dict[Key, Cost] = {}
    began, count = time.perf_counter(), operations(trainer.architecture)
    in_use = {stage: sum(parameters(trainer.architecture, stage)) for stage in range(len(count))}
    speed = _GUESS.get(trainer.device.type, 1e12)  # operations per second
    update: float | None = None  # seconds per parameter
    for phase in sorted(schedule.phases, key=lambda p: (p.stage, p.fading)):  # stable phases precede fade-ins
        key, stable = (phase.stage, phase.fading), costs.get((phase.stage, False))
        image = count[phase.stage] / speed
        late = time.perf_counter() - began > _BUDGET
        if late or image > _IMAGE_LIMIT or (stable and not stable.measured):
            shared = (update or 0.0) * in_use[phase.stage] / phase.batch
            costs[key] = stable or Cost(image + shared, False)
            continue
        moment = Moment(phase, 0.5 if phase.fading else 1.0, 0)
        batch = min(phase.batch, max(1, int(_STEP_LIMIT / image)))
        seconds = _seconds(trainer, moment, batch)
        if update is None:
            alone = _seconds(trainer, moment, 1) if batch > 1 else seconds
            each = (seconds - alone) / (batch - 1) if batch > 1 else seconds
            update = max(alone - each, 0.0) / in_use[phase.stage]
        shared = min(update * in_use[phase.stage], seconds / 2)
        image = (seconds - shared) / batch
        speed = count[phase.stage] / image
        costs[key] = Cost(image + shared / phase.batch, batch == phase.batch)
    return costs


def images_for(seconds: float, schedule: Schedule, costs: dict[Key, Cost], snapshot_seconds: float) -> int:
    """Return how many images a schedule, with all phases stretched alike, can see in `seconds`.

    At least half of the time is used for steps, whatever all snapshots take.
    """
    spent = sum((p.end - p.start) * costs[p.stage, p.fading].seconds for p in schedule.phases)
    return max(1, int(schedule.images * max(seconds - snapshot_seconds, seconds / 2) / spent))


def _seconds(trainer: Trainer, moment: Moment, batch: int) -> float:
    """Return the seconds of a step with this number of images, with penalties in proportion."""
    trainer.split = min(micro_batches(trainer, moment.phase), batch)
    a, lazy = trainer.architecture, trainer.recipe.loss.lazy
    noise = torch.rand(batch, a.channels, *a.shape(moment.phase.stage)).mul_(2).sub_(1).half()
    dataset = Dataset(noise, torch.zeros(batch, a.conditions), trainer.device)  # the cohort may take long to read
    moment = replace(moment, phase=replace(moment.phase, batch=batch))
    penalized = _median_step(trainer, moment, dataset)
    plain = _median_step(trainer, replace(moment, step=1), dataset) if lazy > 1 else penalized
    return (penalized + (lazy - 1) * plain) / lazy


def _median_step(trainer: Trainer, moment: Moment, dataset: Dataset) -> float:
    warm = _WARM.get(trainer.device.type, 1)
    times: list[float] = []
    for done in range(warm + _REPEATS):
        began = time.perf_counter()
        trainer.step(moment, dataset)
        if trainer.device.type in ("cuda", "mps"):
            getattr(torch, trainer.device.type).synchronize()
        times.append(time.perf_counter() - began)
        if done >= warm and sum(times) > 2 * _STEP_LIMIT:
            break
    return statistics.median(times[warm:])
