"""One sitting of a training, from a checkpoint or the start to the end or a stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import torch

from napari_pgan.errors import InputError, Stopped
from napari_pgan.progress import Update
from napari_pgan.store import Store
from napari_pgan.training.architecture import plan_architecture
from napari_pgan.training.calibrate import Cost, Key, calibrate
from napari_pgan.training.checkpoint import NotFinite
from napari_pgan.training.dataset import RealDataset
from napari_pgan.training.graft import start_from
from napari_pgan.training.growth_animation import write_growth
from napari_pgan.training.init import Start
from napari_pgan.training.memory import micro_batches
from napari_pgan.training.mirror import mirror_axis
from napari_pgan.training.out_of_memory import does_not_fit, out_of_memory
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.recovery import Recovery
from napari_pgan.training.run_folder import Run, RunPlan
from napari_pgan.training.schedule import Moment, Schedule
from napari_pgan.training.snapshots import Snapshots
from napari_pgan.training.stopping import Interrupted, Requests
from napari_pgan.training.trainer import Trainer

_HEARTBEAT = 5.0  # seconds
_ROWS = 400  # lines of losses in a whole training


class Session:
    """A run in progress; a context that leaves a true status behind.

    What happens when depends on the images seen alone; looks and checkpoints do not change the training's course.

    Parameters
    ----------
    plan, schedule, store
        What is trained.
    trainer
        Fresh.
    run
        Its folder, held.
    requests
        Who asks to stop.
    say
        Takes lines for the person.
    """

    def __init__(
        self,
        plan: RunPlan,
        schedule: Schedule,
        store: Store,
        trainer: Trainer,
        run: Run,
        requests: Requests,
        say: Callable[[str], None],
    ) -> None:
        self.plan, self.schedule, self.store, self.trainer = plan, schedule, store, trainer
        self.run, self.requests, self.say = run, requests, say
        self.looks = Snapshots(plan, schedule, store, run)
        self.kept = Recovery(plan, schedule, trainer, run, self.looks, say)
        self.reals: tuple[int, RealDataset] | None = None
        self.rate = 0.0  # images a second
        self.augment = 0.0  # its probability at the last row
        self._begun = False
        self._clock, self._since = time.monotonic(), 0  # since when, and how many images, time has not been counted

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._status("finished")
        elif issubclass(kind, Stopped | KeyboardInterrupt | Interrupted):
            self._status("stopped")
        else:
            with contextlib.suppress(InputError):  # on a full disk, the error that is on its way says more
                self._status("failed", str(error))

    def begin(self, start: Start | None, costs: dict[Key, Cost] | None) -> None:
        """Take up the newest checkpoint, or start afresh.

        Parameters
        ----------
        start
            What a fresh training takes over from a model.
        costs
            What `calibrate` measured, where it was asked before.
        """
        with self.requests.broken_off():
            if self.kept.load():
                self.say(f"going on at {self.trainer.seen:,} of {self.schedule.images:,} images")
            else:
                self.kept.clear()
                if start is not None:
                    start_from(self.trainer, start)
                    self.say(start.line)
                costs = costs or self._measure()
                self.kept.pace.costs = [costs[p.stage, p.fading].seconds for p in self.schedule.phases]
        self._begun, self.augment = True, round(self.trainer.probability.item(), 4)

    def go(self, update: Update) -> None:
        """Train to the end; where that was reached before, nothing is done."""
        short = False
        while self._unfinished:
            try:
                self._status("training")
                self._restart_clock()
                self._course(update)
            except Interrupted:
                continue  # the request still stands
            except NotFinite as error:
                self.kept.retreat(str(error))
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                short = True
            if short:  # apart from the error, which holds what the step had made
                self.reals, short = None, False
                self.kept.shrink()
        if not self.run.model.is_file():
            self.looks.write_model(self.trainer, {})
        update(self.schedule.images, "", 0.0)

    @property
    def _unfinished(self) -> bool:
        return self.trainer.seen < self.schedule.images or self.looks.due(self.kept.looked, self.trainer.seen)

    def _course(self, update: Update) -> None:
        every = max(self.schedule.images // _ROWS, 1)
        update(self.trainer.seen, self._note(self.schedule.at(self.trainer.seen)), self._seconds_left)
        while self._unfinished:
            if self.requests.came():
                self._leave()
            if self.looks.due(self.kept.looked, self.trainer.seen):
                self._look()
                continue
            before, moment = self.trainer.seen, self.schedule.at(self.trainer.seen)
            if self.schedule.phases.index(moment.phase) != self.kept.entered:
                self._enter(moment)
            self._step(moment)
            if before // every != self.trainer.seen // every:
                self._row(moment)
                update(self.trainer.seen, self._note(moment), self._seconds_left)
            if self.run.silent_seconds > _HEARTBEAT:
                self._status("training")
                update(self.trainer.seen, self._note(moment), self._seconds_left)

    def _enter(self, moment: Moment) -> None:
        """Begin a phase: optimisers, a new stage, a batch that fits into memory, and a checkpoint of all that."""
        self.kept.refuse_divergence()  # nothing is fitted to what is not finite
        reals, start = self._reals_of(moment), moment.phase.start
        grows = start == 0 or self.schedule.reached(start).phase.stage != moment.phase.stage
        if grows and start:
            self.looks.remember(self.trainer)
        if self._starts_anew(moment):
            self.trainer.reset_optimizers()
        self.trainer.enter(moment.phase, reals)
        parts = micro_batches(self.trainer, moment.phase)
        if not grows:  # where memory was short at this size, it may be short again
            parts = max(parts, self.trainer.split)
        if parts != self.trainer.split:
            self.kept.split(parts)
        self.kept.entered = self.schedule.phases.index(moment.phase)
        self.kept.save()
        self._restart_clock()

    def _starts_anew(self, moment: Moment) -> bool:
        reset, phase = self.plan.recipe.optimizer.reset, moment.phase
        if reset == "phase":
            return True
        first_of_size = next(p for p in self.schedule.phases if p.stage == phase.stage) is phase
        return reset == "size" and first_of_size

    def _step(self, moment: Moment) -> None:
        reals, split = self._reals_of(moment), self.trainer.split
        self.kept.tally.add(self.trainer.step(moment, reals))
        if self.trainer.split != split:  # memory ran out, and the trainer has helped itself
            self.kept.split(self.trainer.split)

    def _reals_of(self, moment: Moment) -> RealDataset:
        size = moment.phase.size
        if self.reals is None or self.reals[0] != size:
            self.reals = None  # before the next are loaded, so that both are never in memory
            with self.requests.broken_off():
                reals = make_reals(self.plan.recipe, self.store, self.plan.size, size, self.trainer.device)
            self.reals = (size, reals)
        return self.reals[1]

    def _row(self, moment: Moment) -> None:
        means = self.kept.tally.take()  # waits for the device, so the clock is read after it
        self.kept.refuse_divergence()
        images, seconds = self.trainer.seen - self._since, self._restart_clock()
        self.kept.pace.stepped(moment.phase, images, seconds)
        self.rate = images / max(seconds, 1e-9)
        self.augment = round(self.trainer.probability.item(), 4)
        now = {"learning_rate": self._learning_rate(moment), "augment": self.augment}
        self.run.append_metrics({**self.kept.facts(moment), "images_per_second": round(self.rate, 1), **now, **means})

    def _look(self) -> None:
        """A look, which a signal breaks off and which is then forgotten, and a checkpoint."""
        self.kept.refuse_divergence()
        self._restart_clock()
        moment, length, best = self.schedule.reached(self.trainer.seen), self.run.settle_metrics(), self.looks.best
        try:
            with self.requests.broken_off():
                self.looks.take(self.trainer, self.kept.seconds / 60)
        except Interrupted:
            self.run.cut_metrics(length)
            self.looks.best = best
            raise
        self.kept.looked = self.trainer.seen
        self.kept.pace.looked(moment.phase.size, self._restart_clock())
        self.kept.save()
        self._status("training")

    def _leave(self) -> None:
        """A checkpoint, then the model as it stands, for which a second Ctrl-C does not wait."""
        self._restart_clock()
        self.kept.save()
        self._status("stopped")
        if self.trainer.seen > self.kept.looked:
            self.looks.write_model(self.trainer, {})
        write_growth(self.run.previews)
        raise self.requests.farewell(f"after {self.trainer.seen:,} images, at a checkpoint; the same command goes on")

    def _restart_clock(self) -> float:
        """Count the seconds since the last call as spent in training; returns them."""
        now = time.monotonic()
        seconds, self._clock, self._since = now - self._clock, now, self.trainer.seen
        self.kept.seconds += seconds
        return seconds

    @property
    def _seconds_left(self) -> float:
        return self.kept.pace.seconds_left(self.trainer.seen, self.kept.looked)

    def _measure(self) -> dict[Key, Cost]:
        device = self.trainer.device
        try:
            return calibrate(make_trainer(self.plan.recipe, self.store, self.plan.size, device), self.schedule)
        except RuntimeError as error:
            if out_of_memory(error):
                raise does_not_fit(self.schedule.phases[-1], device) from error
            raise

    def _status(self, state: str, reason: str | None = None) -> None:
        """Write how things stand; where nothing was taken up yet, how they stood."""
        facts = self.run.read_status()
        if self._begun:
            moment = self.schedule.at(self.trainer.seen)
            facts = {
                "images": self.trainer.seen,
                "total": self.schedule.images,
                "size": moment.phase.size,
                "alpha": round(moment.alpha, 4),
                "images_per_second": round(self.rate, 1),
                "minutes": round(self.kept.seconds / 60, 2),
                "seconds_left": round(self._seconds_left),
                "learning_rate": self._learning_rate(moment),
                "augment": self.augment,
                "retreats": self.kept.retreats,
                "rate_factor": self.trainer.rate_factor,
                "split": self.trainer.split,
                "device": str(self.trainer.device),
                "precision": "bf16" if self.trainer.features.bf16 else "float32",
            }
        facts = {"state": state} | facts | {"state": state, "reason": reason}
        self.run.write_status(**{k: v for k, v in facts.items() if v is not None})

    def _learning_rate(self, moment: Moment) -> float:
        return moment.phase.learning_rate * self.trainer.rate_factor

    def _note(self, moment: Moment) -> str:
        fade = f" fade-in {moment.alpha:.0%}" if moment.phase.fading else ""
        return f"{moment.phase.size}²{fade}" + (f", {self.rate:.0f}/s" if self.rate else "")


def make_trainer(recipe: Recipe, store: Store, size: int, device: torch.device) -> Trainer:
    architecture, encoding, _ = plan_architecture(recipe, store, size)
    return Trainer(recipe, architecture, encoding, device)


def make_reals(recipe: Recipe, store: Store, last: int, pixels: int, device: torch.device) -> RealDataset:
    _, encoding, conditions = plan_architecture(recipe, store, last)
    height, width = store.grid.shape
    mirror = mirror_axis(recipe.augment, store)
    return RealDataset(store, "train", pixels * width // max(height, width), encoding, conditions, device, mirror)
