"""From a request to the plan of a training."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.store import Store, open_store
from napari_pgan.training.calibrate import Cost, Key, calibrate, images_for
from napari_pgan.training.checkpoint import newest_checkpoint
from napari_pgan.training.device import choose_device
from napari_pgan.training.mirror import mirror_axis
from napari_pgan.training.plan_architecture import plan_architecture
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.run_folder import Run, RunPlan, hash_request
from napari_pgan.training.schedule import Schedule
from napari_pgan.training.snapshots import estimate_snapshot_seconds
from napari_pgan.training.trainer import Trainer
from napari_pgan.training.transfer import plan_start


@dataclass(frozen=True)
class TrainingRequest:
    """The options of `fit`.

    Parameters
    ----------
    store
        Address of a prepared cohort.
    recipe
        How to train.
    out
        The run folder.
    size
        The last size in pixels. None: the store's size, halved until the recipe reaches it.
    images, minutes
        The length of the whole training. Neither: the recipe's length.
    device
        As torch names it, or ``auto``.
    init
        The model to start from: a file, the name of a shipped model, or a run folder.
    resume
        Whether to continue the run in `out` even if it was started with other options.
    licence
        For the model's card.
    subjects
        How many training subjects to use; None for all.
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
    """A request, checked against its store and this machine; raises InputError if they do not fit together."""

    def __init__(self, request: TrainingRequest) -> None:
        self._began = time.monotonic()
        self.request, self.recipe = request, request.recipe
        self.store, self.device = store_of(request.store, request.subjects), choose_device(request.device)
        self.size = request.size or last_size(request.recipe, self.store)
        self.architecture, self.encoding, self.conditions = plan_architecture(request.recipe, self.store, self.size)
        self.mirror = mirror_axis(request.recipe.augment, self.store)
        if not self.store.keys("train"):
            raise InputError(f"{request.store}: has no subjects to train on; prepare it with another --split")
        self.init = None
        if request.init is not None:
            self.init = plan_start(request.init, self.architecture, self.encoding, self.conditions)

    def new_trainer(self) -> Trainer:
        """Return a trainer of new networks."""
        return Trainer(self.recipe, self.architecture, self.encoding, self.device)

    def existing_plan(self, run: Run) -> RunPlan | None:
        """Return the plan of the run in the folder, or None; raises InputError if it does not fit the request."""
        if not run.started:
            return None
        plan = run.read_plan()
        if plan.request_hash != self._request_hash and not self.request.resume:
            raise InputError(
                f"{run.folder}: contains another training (other store, recipe, size, length, start or licence); give "
                "another --out, or the options it was started with"
            )
        if newest_checkpoint(run.checkpoints) is not None:
            return plan
        if run.model.is_file():
            raise InputError(
                f"{run.folder}: its checkpoints are gone, and a new training would replace its models; "
                "give another --out"
            )
        if plan.init != self._init_identity:
            raise InputError(
                f"{run.folder}: was started from another model and has no checkpoint yet; repeat its first command"
            )
        return plan

    def new_plan(self) -> RunPlan:
        """Return the plan of a new run, with the length that `images` or the recipe gives."""
        grown = None if self.init is None else self.init.grown
        images = self.request.images or Schedule(self.recipe, self.size, None, grown).images
        return RunPlan(
            recipe=self.recipe,
            store=self.request.store,
            store_fingerprint=self.store.fingerprint,
            size=self.size,
            images=images,
            request_hash=self._request_hash,
            licence=self.request.licence,
            init=self._init_identity,
            grown=grown,
            subjects=self.request.subjects,
        )

    def timed_plan(self, plan: RunPlan, trainer: Trainer) -> tuple[RunPlan, dict[Key, Cost], float]:
        """Time the training on this machine.

        Returns the plan, shortened to the `minutes` of the request minus what planning took; the cost of an image in
        each phase; and the seconds of all snapshots.
        """
        costs = calibrate(self.new_trainer(), plan.schedule())
        snapshot_seconds = estimate_snapshot_seconds(plan, self.store, trainer, costs)
        if self.request.minutes is not None:
            left = max(60 * self.request.minutes - (time.monotonic() - self._began), 0.0)
            plan = replace(plan, images=images_for(left, plan.schedule(), costs, snapshot_seconds))
        return plan, costs, snapshot_seconds

    @property
    def _init_identity(self) -> str | None:
        return None if self.init is None else self.init.identity

    @property
    def _request_hash(self) -> str:
        request = self.request
        options = (self.size, request.images, request.minutes, request.licence, self._init_identity)
        return hash_request(self.recipe.to_dict(), self.store.fingerprint, *options)


def store_of(address: str, subjects: int | None) -> Store:
    """Open a store, with the first `subjects` of its training subjects, or all if None."""
    store = open_store(address)
    return store if subjects is None else store.limit_training(subjects)


def last_size(recipe: Recipe, store: Store) -> int:
    """Return the last size if the request names none: the store's, halved until the recipe reaches it."""
    size, largest = max(store.grid.shape), max(recipe.sizes)
    while size > largest * 7 // 4 and size % 2 == 0:
        size //= 2
    return size
