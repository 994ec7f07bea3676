"""From a store to a trained model: the policy around the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from napari_pgan.errors import InputError
from napari_pgan.store import Store, open_store
from napari_pgan.training.architecture import plan_architecture
from napari_pgan.training.calibrate import calibrate, images_for
from napari_pgan.training.device import choose_device
from napari_pgan.training.init import Start, plan_start
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.run import Plan, Run, wish_of
from napari_pgan.training.schedule import Schedule
from napari_pgan.training.sides import mirror_axis
from napari_pgan.training.sitting import Sitting, make_trainer


@dataclass(frozen=True)
class Wish:
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


def train(wish: Wish, progress: Callable[[int], Any], say: Callable[[str], None]) -> Run:
    """Train, or go on where the same training stopped.

    Parameters
    ----------
    wish
        What is asked for.
    progress
        Called with the number of images, gives a context of a function ``update(done, note)``.
    say
        Takes lines for the person.

    Raises
    ------
    InputError
        The store, recipe, device or folder do not allow it.
    Stopped
        It was stopped by a signal or the stop file, with a checkpoint written.
    """
    store = open_store(wish.store)
    device = choose_device(wish.device)
    size = wish.size or last_size(wish.recipe, store)
    run = Run(wish.out)
    with run.held():
        start = start_of(wish, store, size)
        plan = _plan(wish, store, size, device, start, run, say)
        schedule = Schedule(plan.recipe, size, plan.images, plan.grown)
        with Sitting(plan, schedule, store, device, run, say) as sitting:
            sitting.begin(start)
            with progress(schedule.images) as update:
                sitting.go(update)
    return run


def go_on(wish: Wish) -> Wish:
    """The wish of a run that was begun: its recipe, size and length as they stand in its folder.

    Raises
    ------
    InputError
        No training was begun there, or the store is not the one it was begun with.
    """
    run = Run(wish.out)
    if not run.begun:
        raise InputError(f"{wish.out}: there is no run to resume; leave out --resume to begin one")
    plan = run.read_plan()
    if open_store(wish.store).fingerprint != plan.store_fingerprint:
        raise InputError(f"{wish.store}: is not the store that {wish.out} was begun with ({plan.store}); give that one")
    return replace(wish, recipe=plan.recipe, size=plan.size, images=plan.images, minutes=None, resume=True)


def start_of(wish: Wish, store: Store, size: int) -> Start | None:
    """What the wish takes over from another model."""
    return None if wish.init is None else plan_start(wish.init, *plan_architecture(wish.recipe, store, size))


def _plan(
    wish: Wish,
    store: Store,
    size: int,
    device: torch.device,
    start: Start | None,
    run: Run,
    say: Callable[[str], None],
) -> Plan:
    """What the run in the folder trains, or, in a new folder, what is wished for, once it has proved possible."""
    started_from, grown = (None, None) if start is None else (start.identity, start.grown)
    about = (wish.recipe.to_dict(), store.fingerprint, size, wish.images, wish.minutes, wish.licence, started_from)
    if run.begun:
        plan = run.read_plan()
        if plan.wish != wish_of(*about) and not wish.resume:
            raise InputError(
                f"{run.folder}: holds another training (other store, recipe, size, length, start or licence); give "
                "another --out, or the options it was begun with"
            )
        if plan.init != started_from and not any(run.checkpoints.glob("*.safetensors")):
            raise InputError(f"{run.folder}: was begun from another model and has no checkpoint yet; give its --init")
        return plan
    schedule = Schedule(wish.recipe, size, wish.images, grown)
    trainer = make_trainer(wish.recipe, store, size, device)
    mirror_axis(wish.recipe.augment, store)
    images = wish.images or schedule.images
    if wish.minutes is not None:
        images = images_for(wish.minutes, schedule, calibrate(trainer, schedule))
        say(f"{wish.minutes:g} minutes are about {images:,} images on this machine")
    plan = Plan(
        wish.recipe, wish.store, store.fingerprint, size, images, wish_of(*about), wish.licence, started_from, grown
    )
    run.write_plan(plan)
    return plan


def last_size(recipe: Recipe, store: Store) -> int:
    """The size that a training ends at where none is asked for: the store's, halved until the recipe gets there."""
    size, largest = max(store.grid.shape), max(recipe.sizes)
    while size > largest * 7 // 4 and size % 2 == 0:
        size //= 2
    return size
