"""One sitting of a training, from a checkpoint or the start to the end or a stop."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.store import Store
from napari_pgan.training.architecture import plan_architecture
from napari_pgan.training.checkpoint import load_checkpoint, save_checkpoint
from napari_pgan.training.export import Origin, export_model, shown_stage
from napari_pgan.training.graft import start_from
from napari_pgan.training.growth import cut_previews, write_growth
from napari_pgan.training.init import Start
from napari_pgan.training.loop import Trainer
from napari_pgan.training.reals import Reals
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.run import Plan, Run
from napari_pgan.training.schedule import Moment, Schedule
from napari_pgan.training.sides import mirror_axis
from napari_pgan.training.watch import Watch

_HEARTBEAT = 5.0  # seconds
_ROWS = 400  # lines of losses in a whole training

Progress = Callable[[int, str], None]


class Stopped(Exception):
    """The training was asked to stop; its state is on the disk."""


class Sitting:
    """A run in progress; a context that minds signals and leaves a true status behind."""

    def __init__(
        self, plan: Plan, schedule: Schedule, store: Store, device: torch.device, run: Run, say: Callable[[str], None]
    ) -> None:
        self.plan, self.schedule, self.store, self.device, self.run, self.say = plan, schedule, store, device, run, say
        self.trainer = make_trainer(plan.recipe, store, plan.size, device)
        _, self.encoding, self.conditions = plan_architecture(plan.recipe, store, plan.size)
        self.watch = Watch(store, self.encoding, self.conditions, plan.recipe.watch.samples)
        self.reals: tuple[int, Reals] | None = None
        self.best: float | None = None  # the least distance to held-out subjects so far
        self.seconds = 0.0  # spent in training, over all sittings
        self.signal: int | None = None

    def __enter__(self) -> Sitting:
        self._before = (
            {s: signal.signal(s, self._hear) for s in (signal.SIGTERM, signal.SIGINT)} if _main_thread() else {}
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is None:
            self._status("finished")
        elif kind in (Stopped, KeyboardInterrupt):
            self._status("stopped")
        else:
            self._status("failed", reason=str(error))

    def begin(self, start: Start | None) -> None:
        """Take up the newest checkpoint, or start afresh."""
        extra = load_checkpoint(self.run.checkpoints, self.trainer)
        if extra is not None:
            self.best, self.seconds = extra["best"], extra["seconds"]
            self.run.cut_metrics(self.trainer.seen)
            cut_previews(self.run.previews, self.trainer.seen)
            self.say(f"going on at {self.trainer.seen:,} of {self.schedule.images:,} images")
        elif start is not None:
            start_from(self.trainer, start)
            self.say(start.line)

    def go(self, update: Progress) -> None:
        """Train to the end; where that was reached before, nothing is done."""
        if self.trainer.seen >= self.schedule.images and self.run.model.is_file():
            return
        times = self.plan.recipe.watch.times
        ticks = [round(self.schedule.images * i / times) for i in range(1, times)]
        every = max(self.schedule.images // _ROWS, 1)
        pending: list[dict[str, torch.Tensor]] = []
        moment = self.schedule.at(self.trainer.seen)
        phase, began, last_row = moment.phase, time.monotonic(), self.trainer.seen
        self.rate = 0.0
        self._status("training")
        update(self.trainer.seen, self._note(moment))
        while self.trainer.seen < self.schedule.images:
            moment = self.schedule.at(self.trainer.seen)
            if moment.step == 0 and self._starts_anew(moment):
                self.trainer.reset_optimizers()
            if moment.step == 0:
                self.trainer.enter(moment.phase, self._reals_of(moment))
            if moment.phase != phase:
                if moment.phase.stage != phase.stage:  # every size is seen once as it ended
                    self.watch.preview(self.run.previews, self.trainer.mean, phase.stage, 1.0, self.trainer.seen)
                self._save()
                phase = moment.phase
            before = self.trainer.seen
            pending.append(self.trainer.step(moment, self._reals_of(moment)))
            if before // every != self.trainer.seen // every:
                now = time.monotonic()
                self.rate = (self.trainer.seen - last_row) / max(now - began, 1e-9)
                self.seconds += now - began
                began, last_row = now, self.trainer.seen
                self._row(moment, pending)
                pending = []
                update(self.trainer.seen, self._note(moment))
            if self.run.silent_seconds > _HEARTBEAT:
                self._status("training")
            if any(before < tick <= self.trainer.seen for tick in ticks):
                self.seconds += time.monotonic() - began
                self._tick(moment)
                began, last_row = time.monotonic(), self.trainer.seen
            if self.trainer.seen < self.schedule.images:
                self._obey()  # after the tick, which a sitting that goes on from here would not make again
        self._tick(self.schedule.at(self.schedule.images))
        write_growth(self.run.previews)
        update(self.schedule.images, "")

    def _starts_anew(self, moment: Moment) -> bool:
        reset, phase = self.plan.recipe.optimizer.reset, moment.phase
        if reset == "phase":
            return True
        first_of_size = next(p for p in self.schedule.phases if p.stage == phase.stage) is phase
        return reset == "size" and first_of_size

    def _reals_of(self, moment: Moment) -> Reals:
        size = moment.phase.size
        if self.reals is None or self.reals[0] != size:
            self.reals = None  # before the next are loaded, so that both are never in memory
            self.reals = (size, make_reals(self.plan.recipe, self.store, self.plan.size, size, self.device))
        return self.reals[1]

    def _row(self, moment: Moment, pending: list[dict[str, torch.Tensor]]) -> None:
        means = {k: torch.stack([row[k] for row in pending]).mean().item() for k in pending[0]}
        if not all(torch.isfinite(torch.tensor(v)) for v in means.values()):
            raise InputError(
                f"{self.run.folder}: a loss is not finite after {self.trainer.seen:,} images; the last checkpoint is "
                "kept: train anew with a lower learning rate (--set) in another --out"
            )
        facts = {"size": moment.phase.size, "alpha": round(moment.alpha, 4), "images_per_second": round(self.rate, 1)}
        rounded = {k: round(v, 5) for k, v in means.items()}
        self.run.append_metrics(
            {"images": self.trainer.seen, "minutes": round(self.seconds / 60, 3), **facts, **rounded}
        )

    def _tick(self, moment: Moment) -> None:
        """Preview, distance, model and checkpoint."""
        began, stage = time.monotonic(), moment.phase.stage
        self.watch.preview(self.run.previews, self.trainer.mean, stage, moment.alpha, self.trainer.seen)
        distance = self.watch.distance(self.trainer.mean, stage, moment.alpha, moment.phase.size)
        facts = {"images": self.trainer.seen, "minutes": round(self.seconds / 60, 3), "size": moment.phase.size}
        self.run.append_metrics({**facts, "alpha": round(moment.alpha, 4), f"swd_{self.watch.split}": distance})
        # in the first half of a fade-in the model that is written ends at the stage below, which was not measured
        measures = {f"swd_{self.watch.split}": distance} if shown_stage(moment) == stage else {}
        self._export(self.run.model, moment, measures)
        grown = stage == self.schedule.last_stage and moment.alpha == 1
        if grown and (self.best is None or distance["mean"] < self.best):
            self.best = distance["mean"]
            with replacing(self.run.best) as temporary:
                shutil.copyfile(self.run.model, temporary)
        self.seconds += time.monotonic() - began
        self._save()

    def _export(self, path: Path, moment: Moment, measures: dict[str, Any]) -> None:
        name = f"{self.store.name} {self.schedule.base * 2 ** shown_stage(moment)}"
        origin = Origin(self.store, self.encoding, self.conditions, name, self.plan.licence, self.plan.init)
        export_model(path, self.trainer, moment, origin, measures)

    def _save(self) -> None:
        save_checkpoint(self.run.checkpoints, self.trainer, {"best": self.best, "seconds": self.seconds})

    def _obey(self) -> None:
        if self.signal is None and not self.run.asked_to_stop():
            return
        self._save()
        write_growth(self.run.previews)
        number, self.signal = self.signal, None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Stopped(f"stopped after {self.trainer.seen:,} images, at a checkpoint; the same command goes on")

    def _hear(self, number: int, frame: object) -> None:
        if self.signal is not None:  # asked twice: at once
            raise KeyboardInterrupt
        self.signal = number

    def _status(self, state: str, **facts: Any) -> None:
        moment = self.schedule.at(self.trainer.seen)
        self.run.write_status(
            state=state,
            images=self.trainer.seen,
            total=self.schedule.images,
            size=moment.phase.size,
            alpha=round(moment.alpha, 4),
            images_per_second=round(getattr(self, "rate", 0.0), 1),
            minutes=round(self.seconds / 60, 2),
            **facts,
        )

    def _note(self, moment: Moment) -> str:
        fade = f" fade-in {moment.alpha:.0%}" if moment.phase.fading else ""
        return f"{moment.phase.size}²{fade}" + (f", {self.rate:.0f}/s" if self.rate else "")


def make_trainer(recipe: Recipe, store: Store, size: int, device: torch.device) -> Trainer:
    architecture, encoding, _ = plan_architecture(recipe, store, size)
    return Trainer(recipe, architecture, encoding, device)


def make_reals(recipe: Recipe, store: Store, last: int, pixels: int, device: torch.device) -> Reals:
    _, encoding, conditions = plan_architecture(recipe, store, last)
    height, width = store.grid.shape
    mirror = mirror_axis(recipe.augment, store)
    return Reals(store, "train", pixels * width // max(height, width), encoding, conditions, device, mirror)


def _main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
