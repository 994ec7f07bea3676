"""Snapshots of a training: preview, distance to held-out subjects, newest and best model file."""

from __future__ import annotations

import shutil
import tempfile
import time
from typing import Any

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.model.model_file import read_card
from napari_pgan.store import Store
from napari_pgan.training.calibrate import Cost, Key
from napari_pgan.training.eta import guess_snapshot_seconds
from napari_pgan.training.export import export_model, shown_stage
from napari_pgan.training.growth_animation import write_growth
from napari_pgan.training.plan_architecture import plan_architecture
from napari_pgan.training.run_folder import Run, RunPlan
from napari_pgan.training.trainer import Trainer
from napari_pgan.training.validation import Validation

_LIMIT = 20.0  # seconds; a snapshot that is expected to take longer is not tried out


class Snapshots:
    """Takes the snapshots of a training, which do not influence it."""

    def __init__(self, plan: RunPlan, store: Store, run: Run) -> None:
        self.plan, self.store, self.run = plan, store, run
        self.schedule = plan.schedule()
        _, encoding, self.conditions = plan_architecture(plan.recipe, store, plan.size)
        self.validation = Validation(store, encoding, self.conditions, plan.recipe.watch.samples)
        times = plan.recipe.watch.times
        self.images = sorted({round(self.schedule.images * i / times) for i in range(1, times + 1)} - {0})
        self.best: float | None = None  # least distance to held-out subjects so far

    def due(self, last: int, seen: int) -> bool:
        """Tell whether a snapshot is due after `seen` images, if the last was taken at `last` images."""
        return any(last < images <= seen for images in self.images)

    def read_best(self) -> None:
        """Take the best distance from the best model's card, since a kill may have preceded the checkpoint of it."""
        self.best = None
        try:
            measures = read_card(self.run.best).training["measures"]
            self.best = float(measures[self._measure]["mean"])
        except (InputError, KeyError, TypeError, ValueError):
            pass  # no best model, or not a readable one: the next is the best

    def take(self, trainer: Trainer, minutes: float) -> None:
        """Take a snapshot after the given minutes of training."""
        moment = self.schedule.reached(trainer.seen)
        stage = moment.phase.stage
        self.validation.preview(self.run.previews, trainer.ema, stage, moment.alpha, trainer.seen)
        distance = self.validation.distance(trainer.ema, stage, moment.alpha, moment.phase.size)
        facts = {"images": trainer.seen, "minutes": round(minutes, 3), "size": moment.phase.size}
        self.run.append_metrics({**facts, "alpha": round(moment.alpha, 4), self._measure: distance})
        # in the first half of a fade-in, the exported model ends at the stage below, which was not measured
        self.write_model(trainer, {self._measure: distance} if shown_stage(moment) == stage else {})
        full_size = stage == self.schedule.last_stage and moment.alpha == 1
        if full_size and (self.best is None or distance["mean"] < self.best):
            with replacing(self.run.best) as temporary:
                shutil.copyfile(self.run.model, temporary)
            self.best = distance["mean"]
        if trainer.seen == self.schedule.images:
            write_growth(self.run.previews)

    def preview_finished_size(self, trainer: Trainer) -> None:
        """Write a preview of a size at its end."""
        stage = self.schedule.reached(trainer.seen).phase.stage
        self.validation.preview(self.run.previews, trainer.ema, stage, 1.0, trainer.seen)

    def write_model(self, trainer: Trainer, measures: dict[str, Any]) -> None:
        """Write the newest model."""
        moment = self.schedule.reached(trainer.seen)
        export_model(self.run.model, trainer, moment, self.plan, self.store, self.conditions, measures)

    @property
    def _measure(self) -> str:
        return f"swd_{self.validation.split}"


def estimate_snapshot_seconds(plan: RunPlan, store: Store, trainer: Trainer, costs: dict[Key, Cost]) -> float:
    """Estimate the seconds of all snapshots of a training; nothing is written to its folder.

    One snapshot at the last size is tried out, unless it would take long. Smaller sizes count in proportion to the cost
    of their steps.
    """
    snapshots = Snapshots(plan, store, Run(plan.store))
    phases = [snapshots.schedule.reached(images).phase for images in snapshots.images]
    each = [costs[phase.stage, phase.fading].seconds for phase in phases]
    last = guess_snapshot_seconds(plan.recipe.watch.samples, each[-1])
    if last < _LIMIT:
        seen, trainer.seen = trainer.seen, snapshots.schedule.images
        with tempfile.TemporaryDirectory() as folder:
            snapshots.run, began = Run(folder), time.perf_counter()
            snapshots.take(trainer, 0.0)
            last = time.perf_counter() - began
        trainer.seen = seen
    return sum(last * min(cost / each[-1], 1.0) for cost in each)
