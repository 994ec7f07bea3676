"""One call of `fit`, from the request to the trained model, in the order in which it happens.

1. `train` checks the request, locks the run folder and writes its plan, or reads the plan of the run to be continued.
2. `Session.start` loads the newest checkpoint, or sets up new networks.
3. `Session.run_to_end` trains phase by phase: `_enter_phase`, then step by step with a row of metrics now and then, and
   a snapshot whenever one is due. It returns to a checkpoint after a divergence or when memory runs out.
4. `_stop` ends a session on request with a checkpoint; leaving the context writes the final status in any case.

What happens depends on the number of images seen alone. Snapshots and checkpoints do not influence the training.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from napari_pgan.errors import InputError, Stopped
from napari_pgan.progress import Update
from napari_pgan.training.calibrate import Cost, Key, calibrate
from napari_pgan.training.checkpoint import NotFinite
from napari_pgan.training.dataset import RealDataset
from napari_pgan.training.growth_animation import write_growth
from napari_pgan.training.memory import micro_batches
from napari_pgan.training.out_of_memory import is_out_of_memory
from napari_pgan.training.plan_architecture import width_at
from napari_pgan.training.planning import Planning, TrainingRequest, store_of
from napari_pgan.training.recovery import Recovery
from napari_pgan.training.run_folder import Run, RunPlan
from napari_pgan.training.schedule import Moment
from napari_pgan.training.snapshots import Snapshots
from napari_pgan.training.stopping import Interrupted, StopRequests
from napari_pgan.training.trainer import Trainer
from napari_pgan.training.transfer import transfer_weights

_HEARTBEAT = 5.0  # seconds between two updates of the status, at most
_ROWS = 400  # rows of losses in a whole training


def resume_request(request: TrainingRequest) -> TrainingRequest:
    """Return the request with the recipe, size and length of the run in its folder, for ``--resume``.

    Raises
    ------
    InputError
        There is no run in the folder, or it was started with another store.
    """
    run = Run(request.out)
    if not run.started:
        raise InputError(f"{request.out}: there is no run to resume; leave out --resume to start one")
    plan = run.read_plan()
    if store_of(request.store, plan.subjects).fingerprint != plan.store_fingerprint:
        raise InputError(f"{request.store}: {request.out} was started with another store ({plan.store}); give that one")
    planned = replace(request, recipe=plan.recipe, size=plan.size, images=plan.images, subjects=plan.subjects)
    return replace(planned, minutes=None, resume=True)


def train(request: TrainingRequest, progress: Callable[[int], Any], say: Callable[[str], None]) -> Run:
    """Train to the end, or continue the run in the request's folder.

    Parameters
    ----------
    request
        What to train.
    progress
        Called with the number of images; returns a context manager of a function ``update(done, note, seconds_left)``.
    say
        Prints a line for the user.

    Raises
    ------
    InputError
        The store, recipe, device or folder do not fit the request, the disk or the memory is too small, or the
        training diverged too often.
    Stopped
        SIGTERM or the stop file ended the training. A checkpoint is written.
    KeyboardInterrupt
        Ctrl-C ended the training. A checkpoint is written.
    """
    run, planning = Run(request.out), Planning(request)
    with run.locked(), StopRequests(run) as stop:
        try:
            with stop.interruptible():
                plan, trainer, costs = planning.existing_plan(run), planning.new_trainer(), None
                if plan is None:
                    plan = planning.new_plan()
                    if request.minutes is not None:
                        plan, costs, _ = planning.timed_plan(plan, trainer)
                        say(f"{request.minutes:g} minutes are about {plan.images:,} images on this machine")
                    run.write_plan(plan)
            with Session(planning, plan, trainer, run, stop, say) as session:
                session.start(costs)
                with progress(session.schedule.images) as update:
                    session.run_to_end(update)
        except Interrupted:
            raise stop.exception("before the first step; repeat the command to start or continue") from None
    return run


class Session:
    """A training in progress, in a locked run folder; a context manager that always writes the final status.

    The networks of `trainer` are new. `say` prints a line for the user.
    """

    def __init__(
        self, planning: Planning, plan: RunPlan, trainer: Trainer, run: Run, stop: StopRequests,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.planning, self.plan, self.schedule = planning, plan, plan.schedule()
        self.trainer, self.run, self.stop, self.say = trainer, run, stop, say
        self.snapshots = Snapshots(plan, planning.store, run)
        self.recovery = Recovery(plan, trainer, run, self.snapshots, say)
        self.dataset: tuple[int, RealDataset] | None = None  # size, and images of that size
        self.images_per_second = 0.0
        self.augment = 0.0  # probability of augmentation at the last row
        self._started = False
        self._clock, self._clock_images = time.monotonic(), 0  # time and images seen at the last _restart_clock

    def __enter__(self) -> Session:
        return self

    def start(self, costs: dict[Key, Cost] | None) -> None:
        """Load the newest checkpoint, or start a new training with `costs` as measured, or measured here if None."""
        with self.stop.interruptible():
            if self.recovery.load():
                self.say(f"continuing at {self.trainer.seen:,} of {self.schedule.images:,} images")
            else:
                self.recovery.remove_stale_output()
                if self.planning.init is not None:
                    transfer_weights(self.trainer, self.planning.init)
                    self.say(self.planning.init.summary)
                costs = costs or calibrate(self.planning.new_trainer(), self.schedule)
                self.recovery.eta.costs = [costs[p.stage, p.fading].seconds for p in self.schedule.phases]
        self._started, self.augment = True, round(self.trainer.probability.item(), 4)

    def run_to_end(self, update: Update) -> None:
        """Train to the end of the schedule. Does nothing if the end was reached before."""
        memory_ran_out = False
        while self._unfinished:
            try:
                self._write_status("training")
                self._restart_clock()
                self._train(update)
            except Interrupted:
                continue  # `_train` finds the request to stop
            except NotFinite as error:
                self.recovery.retreat(str(error))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                memory_ran_out = True
            if memory_ran_out:  # outside the except block, whose error still refers to the tensors of the step
                self.dataset, memory_ran_out = None, False
                self.recovery.shrink_batch()
        if not self.run.model.is_file():
            self.snapshots.write_model(self.trainer, {})
        update(self.schedule.images, "", 0.0)

    @property
    def _unfinished(self) -> bool:
        return self.trainer.seen < self.schedule.images or self._snapshot_due

    @property
    def _snapshot_due(self) -> bool:
        return self.snapshots.due(self.recovery.last_snapshot, self.trainer.seen)

    def _train(self, update: Update) -> None:
        images_per_row = max(self.schedule.images // _ROWS, 1)
        self._report(update, self.schedule.at(self.trainer.seen))
        while self._unfinished:
            if self.stop.pending():
                self._stop()
            if self._snapshot_due:
                self._take_snapshot()
                continue
            seen, moment = self.trainer.seen, self.schedule.at(self.trainer.seen)
            if self.schedule.phases.index(moment.phase) != self.recovery.phase:
                self._enter_phase(moment)
            self._step(moment)
            if seen // images_per_row != self.trainer.seen // images_per_row:
                self._write_row(moment)
                self._report(update, moment)
            if self.run.seconds_since_status > _HEARTBEAT:
                self._write_status("training")
                self._report(update, moment)

    def _enter_phase(self, moment: Moment) -> None:
        """Prepare optimisers, a new stage and the batch split for a phase, and save a checkpoint."""
        self.recovery.refuse_divergence()  # a new stage must not be fitted to values that are not finite
        dataset, phase, start = self._load_dataset(moment), moment.phase, moment.phase.start
        new_stage = start == 0 or self.schedule.reached(start).phase.stage != phase.stage
        if new_stage and start:
            self.snapshots.preview_finished_size(self.trainer)
        if self._resets_optimizers(moment):
            self.trainer.reset_optimizers()
        self.trainer.begin_phase(phase, dataset)
        parts = micro_batches(self.trainer, phase)
        if not new_stage:  # if memory ran out at this size, it may run out again
            parts = max(parts, self.trainer.split)
        if parts != self.trainer.split:
            self.recovery.split_batch(parts)
        self.recovery.phase = self.schedule.phases.index(phase)
        self.recovery.save()
        self._restart_clock()

    def _resets_optimizers(self, moment: Moment) -> bool:
        reset, phase = self.plan.recipe.optimizer.reset, moment.phase
        first_of_size = next(p for p in self.schedule.phases if p.stage == phase.stage) is phase
        return reset == "phase" or (reset == "size" and first_of_size)

    def _load_dataset(self, moment: Moment) -> RealDataset:
        size, planning = moment.phase.size, self.planning
        if self.dataset is None or self.dataset[0] != size:
            self.dataset = None  # first, so that never two sizes are in memory
            with self.stop.interruptible():
                width = width_at(planning.store.grid, size)
                dataset = RealDataset(
                    planning.store, "train", width, planning.encoding, planning.conditions, planning.device,
                    planning.mirror,
                )  # fmt: skip
            self.dataset = (size, dataset)
        return self.dataset[1]

    def _step(self, moment: Moment) -> None:
        dataset, split = self._load_dataset(moment), self.trainer.split
        self.recovery.means.add(self.trainer.step(moment, dataset))
        if self.trainer.split != split:  # memory ran out, and the trainer split the batch itself
            self.recovery.split_batch(self.trainer.split)

    def _write_row(self, moment: Moment) -> None:
        """Append learning rate, speed and mean losses to the metrics."""
        means = self.recovery.means.take()  # waits for the device, so it precedes the clock
        self.recovery.refuse_divergence()
        images, seconds = self.trainer.seen - self._clock_images, self._restart_clock()
        self.recovery.eta.add_steps(moment.phase, images, seconds)
        self.images_per_second = images / max(seconds, 1e-9)
        self.augment = round(self.trainer.probability.item(), 4)
        self.run.append_metrics(
            {
                **self.recovery.position(moment),
                "images_per_second": round(self.images_per_second, 1),
                "learning_rate": self._learning_rate(moment),
                "augment": self.augment,
                **means,
            }
        )

    def _take_snapshot(self) -> None:
        """Take a snapshot and save a checkpoint; a signal interrupts the snapshot, which is then undone."""
        self.recovery.refuse_divergence()
        self._restart_clock()
        length, best = self.run.sync_metrics(), self.snapshots.best
        try:
            with self.stop.interruptible():
                self.snapshots.take(self.trainer, self.recovery.seconds / 60)
        except Interrupted:
            self.run.truncate_metrics(length)
            self.snapshots.best = best
            raise
        self.recovery.last_snapshot = self.trainer.seen
        self.recovery.eta.add_snapshot(self.schedule.reached(self.trainer.seen).phase.size, self._restart_clock())
        self.recovery.save()
        self._write_status("training")

    def _stop(self) -> None:
        """Save a checkpoint, write the current model unless a second Ctrl-C arrives, and raise."""
        self._restart_clock()
        self.recovery.save()
        self._write_status("stopped")
        if self.trainer.seen > self.recovery.last_snapshot:
            self.snapshots.write_model(self.trainer, {})
        write_growth(self.run.previews)
        raise self.stop.exception(
            f"after {self.trainer.seen:,} images, at a checkpoint; repeat the command to continue"
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._write_status("finished")
        elif issubclass(kind, Stopped | KeyboardInterrupt | Interrupted):
            self._write_status("stopped")
        else:
            with contextlib.suppress(InputError):  # on a full disk, `error` tells the user more
                self._write_status("failed", str(error))

    def _restart_clock(self) -> float:
        """Count the seconds since the last call as training time, and return them."""
        now = time.monotonic()
        seconds, self._clock, self._clock_images = now - self._clock, now, self.trainer.seen
        self.recovery.seconds += seconds
        return seconds

    def _report(self, update: Update, moment: Moment) -> None:
        """Update the progress bar."""
        fade = f" fade-in {moment.alpha:.0%}" if moment.phase.fading else ""
        speed = f", {self.images_per_second:.0f}/s" if self.images_per_second else ""
        update(self.trainer.seen, f"{moment.phase.size}²{fade}{speed}", self._seconds_left)

    def _write_status(self, state: str, reason: str | None = None) -> None:
        """Write ``status.json``; before `start` has ended, with the figures of the session before."""
        facts = self.run.read_status()
        if self._started:
            moment = self.schedule.at(self.trainer.seen)
            facts = {
                "images": self.trainer.seen,
                "total": self.schedule.images,
                "size": moment.phase.size,
                "alpha": round(moment.alpha, 4),
                "images_per_second": round(self.images_per_second, 1),
                "minutes": round(self.recovery.seconds / 60, 2),
                "seconds_left": round(self._seconds_left),
                "learning_rate": self._learning_rate(moment),
                "augment": self.augment,
                "retreats": self.recovery.retreats,
                "rate_factor": self.trainer.rate_factor,
                "split": self.trainer.split,
                "device": str(self.trainer.device),
                "precision": "bf16" if self.trainer.features.bf16 else "float32",
            }
        facts = {"state": state} | facts | {"state": state, "reason": reason}
        self.run.write_status(**{k: v for k, v in facts.items() if v is not None})

    @property
    def _seconds_left(self) -> float:
        return self.recovery.eta.seconds_left(self.trainer.seen, self.recovery.last_snapshot)

    def _learning_rate(self, moment: Moment) -> float:
        return moment.phase.learning_rate * self.trainer.rate_factor
