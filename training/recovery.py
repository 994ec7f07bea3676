"""The whole state of a training on the disk, and the ways back to it when the training diverges or memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from napari_pgan.errors import InputError
from napari_pgan.training.checkpoint import (
    NotFinite,
    drop_checkpoints_after,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from napari_pgan.training.eta import Eta
from napari_pgan.training.growth_animation import cut_previews
from napari_pgan.training.out_of_memory import does_not_fit
from napari_pgan.training.run_folder import Run, RunPlan
from napari_pgan.training.running_means import RunningMeans
from napari_pgan.training.schedule import Moment, Schedule
from napari_pgan.training.snapshots import Snapshots
from napari_pgan.training.trainer import Trainer

_RETREATS = 3  # times that a training which diverged goes back


class Recovery:
    """What a later sitting needs to come to the same end: the trainer's state, and what is listed in `save`.

    Parameters
    ----------
    plan, schedule
        What is trained.
    trainer
        Whose state is kept.
    run
        Its folder.
    looks
        Of the training.
    say
        Takes lines for the person.
    """

    def __init__(
        self,
        plan: RunPlan,
        schedule: Schedule,
        trainer: Trainer,
        run: Run,
        looks: Snapshots,
        say: Callable[[str], None],
    ) -> None:
        self.plan, self.schedule, self.trainer = plan, schedule, trainer
        self.run, self.looks, self.say = run, looks, say
        self.pace = Eta(schedule, looks.at, plan.recipe.watch.samples, [0.0] * len(schedule.phases))
        self.tally = RunningMeans()
        self.looked = 0  # images at the last look
        self.seconds = 0.0  # spent in training, over all sittings
        self.retreats: list[dict[str, Any]] = []  # from divergences: when, where to, why
        self.entered = -1  # the phase that was begun
        self._returned_to = -1  # images of the checkpoint that it last went back to

    def save(self) -> None:
        """Write a checkpoint; raises NotFinite, and writes nothing, where the training has diverged."""
        self.refuse_divergence()
        extra = {
            "best": self.looks.best,
            "entered": self.entered,
            "looked": self.looked,
            "metrics": self.run.settle_metrics(),
            "pace": self.pace.state(),
            "retreats": self.retreats,
            "returned_to": self._returned_to,
            "seconds": self.seconds,
            "tally": self.tally.state(),
        }
        save_checkpoint(self.run.checkpoints, self.trainer, extra)

    def load(self, before: int | None = None) -> bool:
        """Take up the newest whole checkpoint (of fewer images than `before`); returns whether there is one."""
        extra = load_checkpoint(self.run.checkpoints, self.trainer, before)
        if extra is None:
            return False
        self.entered, self.looked = extra["entered"], extra["looked"]
        self.seconds = max(self.seconds, extra["seconds"])
        self.retreats, self._returned_to = extra["retreats"], extra["returned_to"]
        self.pace.load(extra["pace"])
        self.tally.load(extra["tally"], self.trainer.device)
        self.run.cut_metrics(extra["metrics"])
        cut_previews(self.run.previews, self.trainer.seen)
        self.looks.take_up()
        return True

    def clear(self) -> None:
        """Take away what a training without a checkpoint has left, as it begins anew."""
        self.run.cut_metrics(0)
        cut_previews(self.run.previews, -1)

    def refuse_divergence(self) -> None:
        """Raise NotFinite where a loss or gradient since the last call was not finite; waits for the device."""
        if not self.trainer.sound():
            raise NotFinite(f"a loss or a gradient was not finite by {self.trainer.seen:,} images")

    def retreat(self, reason: str) -> None:
        """Go back to the last checkpoint with half the learning rate.

        A checkpoint that was gone back to before, and from which no other was reached, was on its way to the divergence
        already: then the one before it is taken.

        Raises
        ------
        InputError
            It has diverged too often.
        """
        retreats, seen, factor = self.retreats, self.trainer.seen, self.trainer.rate_factor / 2
        if len(retreats) >= _RETREATS:
            self._note(gave_up=reason)
            raise InputError(f"{self.run.folder}: {reason}, though the learning rate was halved {_RETREATS} times; "
                             f"{self._advice()}")  # fmt: skip
        newest = newest_checkpoint(self.run.checkpoints)
        stuck = newest is not None and newest == self._returned_to
        if not (stuck and self.load(before=newest)) and not self.load():
            raise InputError(f"{self.run.folder}: {reason}, and there is no checkpoint to go back to; {self._advice()}")
        self._returned_to, self.trainer.rate_factor = self.trainer.seen, factor
        told = {"from": seen, "to": self.trainer.seen, "rate_factor": factor, "reason": reason}
        self.retreats = [*retreats, told]  # those before may be of after the checkpoint, and are told all the same
        self._note(retreat=len(self.retreats), **told)
        self.save()  # at once, so that a kill does not forget it
        drop_checkpoints_after(self.run.checkpoints, self.trainer.seen)
        self.say(
            f"{reason}: back to {self.trainer.seen:,} images, with the learning rate times {factor:g} "
            f"({len(self.retreats)} of {_RETREATS} times)"
        )

    def shrink(self) -> None:
        """Go back to the last checkpoint and take the batch in smaller parts, as memory ran out amid a step.

        Raises
        ------
        InputError
            It is taken image by image already.
        """
        self.trainer.graphs.forget()
        if self.trainer.device.type == "cuda":
            torch.cuda.empty_cache()
        phase, parts = self.schedule.at(self.trainer.seen).phase, 2 * self.trainer.split
        if phase.batch % parts or not self.load():
            raise does_not_fit(phase, self.trainer.device)
        self.split(parts)
        self.save()

    def split(self, parts: int) -> None:
        """Take the batch in so many parts from now on, and say so."""
        self.trainer.split = parts
        phase = self.schedule.at(self.trainer.seen).phase
        how = "whole again" if parts == 1 else f"in {parts} parts, to fit into memory"
        self.say(f"size {phase.size}: the batch of {phase.batch} is taken {how}")
        self._note(split=parts)

    def facts(self, moment: Moment) -> dict[str, Any]:
        """What every line of ``metrics.jsonl`` begins with."""
        where = {"size": moment.phase.size, "alpha": round(moment.alpha, 4)}
        return {"images": self.trainer.seen, "minutes": round(self.seconds / 60, 3), **where}

    def _note(self, **facts: Any) -> None:
        self.run.append_metrics({**self.facts(self.schedule.at(self.trainer.seen)), **facts})

    def _advice(self) -> str:
        phase, recipe = self.schedule.at(self.trainer.seen).phase, self.plan.recipe
        rate = phase.learning_rate * self.trainer.rate_factor / 2
        ways = [f"a lower learning rate (--set sizes.{phase.size}.learning_rate={rate:.2g})"]
        if recipe.precision != "float32":
            ways.append("full precision (--set precision=float32)")
        return f"what was good before is kept: train anew in another --out with {' or '.join(ways)}"
