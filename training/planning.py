"""From what a person asks `fit` for to what is trained."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.store import Store, open_store
from napari_pgan.training.architecture import plan_architecture
from napari_pgan.training.calibrate import Cost, Key, calibrate, images_for
from napari_pgan.training.checkpoint import newest_checkpoint
from napari_pgan.training.device import choose_device
from napari_pgan.training.init import plan_start
from napari_pgan.training.mirror import mirror_axis
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.run_folder import Run, RunPlan, wish_of
from napari_pgan.training.schedule import Schedule
from napari_pgan.training.session import make_trainer
from napari_pgan.training.snapshots import seconds_of_looks
from napari_pgan.training.trainer import Trainer


@dataclass(frozen=True)
class TrainingRequest:
    """What a person asks `fit` for.

    Parameters
    ----------
    store
        Address of a prepared cohort.
    recipe
        How to train.
    out
        The run folder.
    size
        The last size; None takes the store's, or the recipe's largest below it.
    images, minutes
        The length of the whole training; neither takes the recipe's own.
    device
        As torch names it, or ``auto``.
    init
        A model that the training starts from: a file, the name of a shipped one, or a run folder.
    resume
        Whether a run in `out` is continued whatever it was asked for.
    licence
        For the model's card.
    subjects
        How many of the training subjects are shown; None for all.
    """

    store: str
    recipe: Recipe
    out: Path
    size: int | None = None
    images: int | None = None
    minutes: float | None = None
    device: str = "auto"
    init: Path | None = None
    resume: bool = False
    licence: str = "not stated"
    subjects: int | None = None


class Planning:
    """What a wish comes to with its store and on this machine.

    Parameters
    ----------
    wish
        What is asked for.

    Raises
    ------
    InputError
        The store, device, size or model to start from do not allow it.
    """

    def __init__(self, wish: TrainingRequest) -> None:
        self._began = time.monotonic()
        self.wish, self.recipe = wish, wish.recipe
        self.store, self.device = store_of(wish.store, wish.subjects), choose_device(wish.device)
        self.size = wish.size or last_size(wish.recipe, self.store)
        self.architecture, encoding, conditions = plan_architecture(wish.recipe, self.store, self.size)
        mirror_axis(wish.recipe.augment, self.store)
        if not self.store.keys("train"):
            raise InputError(f"{wish.store}: has no subjects to train on; prepare it with another --split")
        self.start = None if wish.init is None else plan_start(wish.init, self.architecture, encoding, conditions)

    def new_trainer(self) -> Trainer:
        """Fresh networks."""
        return make_trainer(self.recipe, self.store, self.size, self.device)

    def begun(self, run: Run) -> RunPlan | None:
        """What the run in the folder trains, if one was begun there; raises InputError if that is something else."""
        if not run.begun:
            return None
        plan = run.read_plan()
        if plan.wish != self._asked and not self.wish.resume:
            raise InputError(
                f"{run.folder}: holds another training (other store, recipe, size, length, start or licence); give "
                "another --out, or the options it was begun with"
            )
        if newest_checkpoint(run.checkpoints) is not None:
            return plan
        if run.model.is_file():
            raise InputError(
                f"{run.folder}: its checkpoints are gone, and beginning anew would replace its models; "
                "give another --out"
            )
        if plan.init != self._started_from:
            raise InputError(
                f"{run.folder}: was begun from another model and has no checkpoint yet; give the command it began with"
            )
        return plan

    def plan(self) -> RunPlan:
        """The plan of a new run, as long as `images` says or the recipe."""
        grown = None if self.start is None else self.start.grown
        images = self.wish.images or Schedule(self.recipe, self.size, None, grown).images
        return RunPlan(
            recipe=self.recipe,
            store=self.wish.store,
            store_fingerprint=self.store.fingerprint,
            size=self.size,
            images=images,
            wish=self._asked,
            licence=self.wish.licence,
            init=self._started_from,
            grown=grown,
            subjects=self.wish.subjects,
        )

    def costs(self, plan: RunPlan) -> dict[Key, Cost]:
        """What an image costs in each phase."""
        return calibrate(self.new_trainer(), schedule_of(plan))

    def timed(self, plan: RunPlan, costs: dict[Key, Cost], looks: float) -> RunPlan:
        """The plan, as long as fits into the `minutes` of the wish, of which planning has used some."""
        left = 60 * (self.wish.minutes or 0.0) - (time.monotonic() - self._began)
        return replace(plan, images=images_for(max(left, 0.0), schedule_of(plan), costs, looks))

    def looks(self, plan: RunPlan, costs: dict[Key, Cost], trainer: Trainer) -> float:
        """Seconds that all looks at the training will take."""
        return seconds_of_looks(plan, schedule_of(plan), self.store, trainer, costs)

    @property
    def _started_from(self) -> str | None:
        return None if self.start is None else self.start.identity

    @property
    def _asked(self) -> str:
        wish = self.wish
        asked = (self.size, wish.images, wish.minutes, wish.licence, self._started_from)
        return wish_of(self.recipe.to_dict(), self.store.fingerprint, *asked)


def store_of(address: str, subjects: int | None) -> Store:
    """The store, with as many training subjects as are shown."""
    store = open_store(address)
    return store if subjects is None else store.limit_training(subjects)


def schedule_of(plan: RunPlan) -> Schedule:
    """When a run trains what."""
    return Schedule(plan.recipe, plan.size, plan.images, plan.grown)


def last_size(recipe: Recipe, store: Store) -> int:
    """The size that a training ends at where none is asked for: the store's, halved until the recipe gets there."""
    size, largest = max(store.grid.shape), max(recipe.sizes)
    while size > largest * 7 // 4 and size % 2 == 0:
        size //= 2
    return size
