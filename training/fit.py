"""From a store to a trained model: the policy around the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.training.planning import Planning, TrainingRequest, schedule_of, store_of
from napari_pgan.training.run_folder import Run
from napari_pgan.training.session import Session
from napari_pgan.training.stopping import Interrupted, Requests


def train(wish: TrainingRequest, progress: Callable[[int], Any], say: Callable[[str], None]) -> Run:
    """Train, or go on where the same training stopped.

    Parameters
    ----------
    wish
        What is asked for.
    progress
        Called with the number of images, gives a context of a function ``update(done, note, seconds_left)``.
    say
        Takes lines for the person.

    Raises
    ------
    InputError
        The store, recipe, device or folder do not allow it, the disk or the memory does not suffice, or it diverged.
    Stopped
        It was stopped by SIGTERM or the stop file, with a checkpoint written.
    KeyboardInterrupt
        It was stopped by Ctrl-C, likewise.
    """
    run, planning = Run(wish.out), Planning(wish)
    with run.held(), Requests(run) as requests:
        try:
            with requests.broken_off():
                plan, trainer, costs = planning.begun(run), planning.new_trainer(), None
                if plan is None:
                    plan = planning.plan()
                    if wish.minutes is not None:
                        costs = planning.costs(plan)
                        plan = planning.timed(plan, costs, planning.looks(plan, costs, trainer))
                        say(f"{wish.minutes:g} minutes are about {plan.images:,} images on this machine")
                    run.write_plan(plan)
            schedule = schedule_of(plan)
            with Session(plan, schedule, planning.store, trainer, run, requests, say) as sitting:
                sitting.begin(planning.start, costs)
                with progress(schedule.images) as update:
                    sitting.go(update)
        except Interrupted:
            raise requests.farewell("before it trained; the same command begins, or goes on") from None
    return run


def go_on(wish: TrainingRequest) -> TrainingRequest:
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
    if store_of(wish.store, plan.subjects).fingerprint != plan.store_fingerprint:
        raise InputError(f"{wish.store}: is not the store that {wish.out} was begun with ({plan.store}); give that one")
    begun = replace(wish, recipe=plan.recipe, size=plan.size, images=plan.images, subjects=plan.subjects)
    return replace(begun, minutes=None, resume=True)
