"""Save and load the whole state of a training, and return to it after a divergence or when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.training.checkpoint import (
    NotFinite,
    load_checkpoint,
    newest_checkpoint,
    remove_checkpoints_after,
    save_checkpoint,
)
from napari_pgan.training.eta import Eta
from napari_pgan.training.growth_animation import remove_previews_after
from napari_pgan.training.out_of_memory import does_not_fit, free_cache, split_further
from napari_pgan.training.run_folder import Run, RunPlan
from napari_pgan.training.running_means import RunningMeans
from napari_pgan.training.schedule import Moment
from napari_pgan.training.snapshots import Snapshots
from napari_pgan.training.trainer import Trainer

_RETREATS = 3  # returns to a checkpoint after a divergence, at most


class Recovery:
    """The state that a resumed session needs to reach the same end: the trainer's, and what `save` lists."""

    def __init__(
        self, plan: RunPlan, trainer: Trainer, run: Run, snapshots: Snapshots, say: Callable[[str], None]
    ) -> None:
        self.plan, self.schedule, self.trainer = plan, plan.schedule(), trainer
        self.run, self.snapshots, self.say = run, snapshots, say
        self.eta = Eta(self.schedule, snapshots.images, plan.recipe.watch.samples, [0.0] * len(self.schedule.phases))
        self.means = RunningMeans()
        self.last_snapshot = 0  # images seen
        self.seconds = 0.0  # of training, over all sessions
        self.retreats: list[dict[str, Any]] = []  # returns after divergences: when, to where, why
        self.phase = -1  # index of the phase that was entered
        self._returned_to = -1  # images of the checkpoint of the last return

    def save(self) -> None:
        """Write a checkpoint; raises NotFinite, and writes nothing, if the training has diverged."""
        self.refuse_divergence()
        extra = {
            "best": self.snapshots.best,
            "entered": self.phase,
            "looked": self.last_snapshot,
            "metrics": self.run.sync_metrics(),
            "pace": self.eta.state(),
            "retreats": self.retreats,
            "returned_to": self._returned_to,
            "seconds": self.seconds,
            "tally": self.means.state(),
        }
        save_checkpoint(self.run.checkpoints, self.trainer, extra)

    def load(self, before: int | None = None) -> bool:
        """Load the newest intact checkpoint (of fewer images than `before`); returns whether there is one."""
        extra = load_checkpoint(self.run.checkpoints, self.trainer, before)
        if extra is None:
            return False
        self.phase, self.last_snapshot = extra["entered"], extra["looked"]
        self.seconds = max(self.seconds, extra["seconds"])
        self.retreats, self._returned_to = extra["retreats"], extra["returned_to"]
        self.eta.load(extra["pace"])
        self.means.load(extra["tally"], self.trainer.device)
        self.run.truncate_metrics(extra["metrics"])
        remove_previews_after(self.run.previews, self.trainer.seen)
        self.snapshots.read_best()
        return True

    def remove_stale_output(self) -> None:
        """Remove metrics and previews of a training that ended before its first checkpoint."""
        self.run.truncate_metrics(0)
        remove_previews_after(self.run.previews, -1)

    def refuse_divergence(self) -> None:
        """Raise NotFinite if a loss or gradient since the last call was not finite; waits for the device."""
        if not self.trainer.all_finite():
            raise NotFinite(f"a loss or a gradient was not finite by {self.trainer.seen:,} images")

    def retreat(self, reason: str) -> None:
        """Return to the last checkpoint with half the learning rate.

        If the training returned to that checkpoint before and reached no other since, the one before it is loaded.
        Raises InputError if the training has diverged too often.
        """
        retreats, seen, factor = self.retreats, self.trainer.seen, self.trainer.rate_factor / 2
        if len(retreats) >= _RETREATS:
            self._append_event(gave_up=reason)
            raise InputError(
                f"{self.run.folder}: {reason}, although the learning rate was halved {_RETREATS} times; "
                f"{self._advice()}"
            )
        newest = newest_checkpoint(self.run.checkpoints)
        stuck = newest is not None and newest == self._returned_to
        if not (stuck and self.load(before=newest)) and not self.load():
            raise InputError(f"{self.run.folder}: {reason}, and there is no checkpoint to return to; {self._advice()}")
        self._returned_to, self.trainer.rate_factor = self.trainer.seen, factor
        event = {"from": seen, "to": self.trainer.seen, "rate_factor": factor, "reason": reason}
        self.retreats = [*retreats, event]  # all of them, even if the loaded checkpoint precedes some
        self._append_event(retreat=len(self.retreats), **event)
        self.save()  # at once, so that a kill does not lose it
        remove_checkpoints_after(self.run.checkpoints, self.trainer.seen)
        self.say(
            f"{reason}: returning to {self.trainer.seen:,} images with {factor:g} times the learning rate "
            f"({len(self.retreats)} of at most {_RETREATS} times)"
        )

    def shrink_batch(self) -> None:
        """Return to the last checkpoint and split the batch further, after memory ran out within a step.

        Raises InputError if the batch cannot be split further.
        """
        self.trainer.graphs.forget()
        free_cache(self.trainer.device)
        phase = self.schedule.at(self.trainer.seen).phase
        parts = split_further(phase.batch, self.trainer.split)
        if parts is None or not self.load():
            raise does_not_fit(phase, self.trainer.device)
        self.split_batch(parts)
        self.save()

    def split_batch(self, parts: int) -> None:
        """Split batches into this number of parts from now on, and report it."""
        self.trainer.split = parts
        phase = self.schedule.at(self.trainer.seen).phase
        how = "no longer split" if parts == 1 else f"split into {parts} parts to fit into memory"
        self.say(f"size {phase.size}: the batch of {phase.batch} is {how}")
        self._append_event(split=parts)

    def position(self, moment: Moment) -> dict[str, Any]:
        """Return the first fields of each row of ``metrics.jsonl``."""
        position = {"size": moment.phase.size, "alpha": round(moment.alpha, 4)}
        return {"images": self.trainer.seen, "minutes": round(self.seconds / 60, 3), **position}

    def _append_event(self, **facts: Any) -> None:
        self.run.append_metrics({**self.position(self.schedule.at(self.trainer.seen)), **facts})

    def _advice(self) -> str:
        phase, recipe = self.schedule.at(self.trainer.seen).phase, self.plan.recipe
        rate = phase.learning_rate * self.trainer.rate_factor / 2
        advice = f"a lower learning rate (--set sizes.{phase.size}.learning_rate={rate:.2g})"
        if recipe.precision != "float32":
            advice += " or full precision (--set precision=float32)"
        return f"the models before it are kept; train again in another --out with {advice}"
