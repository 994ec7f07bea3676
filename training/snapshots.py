"""A look at a training: a preview, the distance to held-out subjects, the newest model file and the best."""

from __future__ import annotations

import shutil
import tempfile
import time
from typing import Any

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.model.model_file import read_card
from napari_pgan.store import Store
from napari_pgan.training.architecture import plan_architecture
from napari_pgan.training.calibrate import Cost, Key
from napari_pgan.training.eta import look_guess
from napari_pgan.training.export import Origin, export_model, shown_stage
from napari_pgan.training.growth_animation import write_growth
from napari_pgan.training.run_folder import Run, RunPlan
from napari_pgan.training.schedule import Schedule
from napari_pgan.training.trainer import Trainer
from napari_pgan.training.validation import Validation

_PATIENCE = 20.0  # seconds that a look may take to be rehearsed


class Snapshots:
    """When a training is looked at, and what is done then; nothing of it changes the training's course.

    Parameters
    ----------
    plan, schedule, store
        Of the training.
    run
        Where preview, metrics and models go.
    """

    def __init__(self, plan: RunPlan, schedule: Schedule, store: Store, run: Run) -> None:
        self.plan, self.schedule, self.store, self.run = plan, schedule, store, run
        _, self.encoding, self.conditions = plan_architecture(plan.recipe, store, plan.size)
        self.watch = Validation(store, self.encoding, self.conditions, plan.recipe.watch.samples)
        times = plan.recipe.watch.times
        self.at = sorted({round(schedule.images * i / times) for i in range(1, times + 1)} - {0})
        self.best: float | None = None  # the least distance to held-out subjects so far

    def due(self, looked: int, seen: int) -> bool:
        """Whether a training that was looked at after `looked` images is to be after `seen`."""
        return any(looked < at <= seen for at in self.at)

    def take_up(self) -> None:
        """Know the best model that there is by its own card: a kill may have come before its distance was kept."""
        self.best = None
        try:
            measures = read_card(self.run.best).training["measures"]
            self.best = float(measures[self._measure]["mean"])
        except (InputError, KeyError, TypeError, ValueError):
            pass  # there is none, or none that can be read: the next one is the best

    def take(self, trainer: Trainer, minutes: float) -> None:
        """Look at the training, where it stands after so many minutes."""
        moment = self.schedule.reached(trainer.seen)
        stage = moment.phase.stage
        self.watch.preview(self.run.previews, trainer.mean, stage, moment.alpha, trainer.seen)
        distance = self.watch.distance(trainer.mean, stage, moment.alpha, moment.phase.size)
        facts = {"images": trainer.seen, "minutes": round(minutes, 3), "size": moment.phase.size}
        self.run.append_metrics({**facts, "alpha": round(moment.alpha, 4), self._measure: distance})
        # in the first half of a fade-in the model that is written ends at the stage below, which was not measured
        self.write_model(trainer, {self._measure: distance} if shown_stage(moment) == stage else {})
        grown = stage == self.schedule.last_stage and moment.alpha == 1
        if grown and (self.best is None or distance["mean"] < self.best):
            with replacing(self.run.best) as temporary:
                shutil.copyfile(self.run.model, temporary)
            self.best = distance["mean"]
        if trainer.seen == self.schedule.images:
            write_growth(self.run.previews)

    def remember(self, trainer: Trainer) -> None:
        """Write a preview of a size as it ended."""
        stage = self.schedule.reached(trainer.seen).phase.stage
        self.watch.preview(self.run.previews, trainer.mean, stage, 1.0, trainer.seen)

    def write_model(self, trainer: Trainer, measures: dict[str, Any]) -> None:
        """Write the newest model."""
        moment = self.schedule.reached(trainer.seen)
        name = f"{self.store.name} {self.schedule.base * 2 ** shown_stage(moment)}"
        origin = Origin(self.store, self.encoding, self.conditions, name, self.plan.licence, self.plan.init)
        export_model(self.run.model, trainer, moment, origin, measures)

    @property
    def _measure(self) -> str:
        return f"swd_{self.watch.split}"


def seconds_of_looks(
    plan: RunPlan, schedule: Schedule, store: Store, trainer: Trainer, costs: dict[Key, Cost]
) -> float:
    """How long all looks of a training will take, by one at the last size where that takes seconds; nothing is kept.

    Looks at smaller sizes count in proportion to what their steps cost.
    """
    looks = Snapshots(plan, schedule, store, Run(plan.store))
    phases = [schedule.reached(at).phase for at in looks.at]
    each = [costs[phase.stage, phase.fading].seconds for phase in phases]
    last = look_guess(plan.recipe.watch.samples, each[-1])
    if last < _PATIENCE:
        last = _rehearse(looks, trainer)
    return sum(last * min(cost / each[-1], 1.0) for cost in each)


def _rehearse(looks: Snapshots, trainer: Trainer) -> float:
    """Seconds of a look at the end of a training, into a folder that goes."""
    with tempfile.TemporaryDirectory() as folder:
        looks.run = Run(folder)
        began, seen, trainer.seen = time.perf_counter(), trainer.seen, looks.schedule.images
        try:
            looks.take(trainer, 0.0)
        finally:
            trainer.seen = seen
    return time.perf_counter() - began
