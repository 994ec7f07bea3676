"""Searches for what is asked, for a thread beside the event loop; knows neither Qt nor layers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from napari_pgan.latent.steering import Bank, Candidates, TargetAreas, TargetMask
    from napari_pgan.model import Batch, Model
    from napari_pgan.samples import SteeringSearch

_RESTS_AT_MOST = 30.0  # seconds; a hand that was never seen to be lifted stops nothing for ever

Progress = Callable[[int, int], None]


class Hand:
    """Whether somebody draws just now. Searches wait meanwhile, so that the brush has the machine for itself."""

    def __init__(self) -> None:
        self._lifted = threading.Event()
        self._lifted.set()

    @property
    def is_down(self) -> bool:
        return not self._lifted.is_set()

    def down(self) -> None:
        """It begins a stroke."""
        self._lifted.clear()

    def up(self) -> None:
        """It ends one."""
        self._lifted.set()

    def wait(self, check: Callable[[], None]) -> None:
        """Wait for it to be lifted; `check` is called now and then, and ends the wait by raising."""
        waited = 0.0
        while not self._lifted.wait(0.02):
            check()
            waited += 0.02
            if waited > _RESTS_AT_MOST:
                self._lifted.set()
        check()


def bank_of(model: Model, progress: Progress, hand: Hand) -> Bank:
    """Find or make the bank of a model: some seconds the first time, then milliseconds.

    Parameters
    ----------
    model
        Whose.
    progress
        Called with (done, all); ends the work by raising.
    hand
        While it is down the work rests.
    """
    from napari_pgan.latent.steering import cached_bank

    leave_a_core()

    def step(done: int, total: int) -> None:
        hand.wait(lambda: progress(done, total))

    return cached_bank(model, progress=step)


@dataclass(frozen=True, eq=False)
class Lock:
    """What shall stay of an image.

    Parameters
    ----------
    latent
        (L,) of the image.
    where
        (Y, X) bool: the pixels that shall stay.
    modality
        That alone; None for all.
    """

    latent: np.ndarray
    where: np.ndarray
    modality: str | None = None

    def same(self, other: Lock | None) -> bool:
        """Whether both keep the same."""
        return (
            other is not None
            and self.modality == other.modality
            and np.array_equal(self.where, other.where)
            and np.array_equal(self.latent, other.latent)
        )


@dataclass(frozen=True, eq=False)
class Ask:
    """What is asked, taken at one moment.

    Parameters
    ----------
    model
        Of whom.
    goal
        The segmentation, drawn or in numbers.
    candidates
        How many are searched for.
    conditions
        As in `Model.sample`.
    lock
        What shall stay.
    strength
        Of a refinement; None for a search among latents alone.
    """

    model: Model
    goal: TargetMask | TargetAreas
    candidates: int = 6
    conditions: Mapping[str, str | float] = field(default_factory=dict)
    lock: Lock | None = None
    strength: float | None = None

    @property
    def wish(self) -> TargetMask | None:
        """What is drawn; None where numbers are asked for."""
        from napari_pgan.latent.steering import TargetMask

        return self.goal if isinstance(self.goal, TargetMask) else None

    @property
    def told(self) -> tuple[str, ...]:
        """What was done to the drawing, one sentence each."""
        return () if self.wish is None else self.wish.messages

    @property
    def search(self) -> SteeringSearch:
        """As files have it."""
        from napari_pgan.samples import SteeringSearch

        settings: dict[str, Any] = {"candidates": self.candidates, "refine": self.strength}
        if self.lock is not None:
            settings["lock"] = {
                "pixels": int(self.lock.where.sum()),
                "modality": self.lock.modality,
                "latent": [float(x) for x in self.lock.latent],
            }
        stays = None if self.lock is None else self.lock.where
        return SteeringSearch(self.model, self.goal, settings, self.conditions, stays)

    def same(self, other: Ask | None) -> bool:
        """Whether both ask for the same."""
        return (
            other is not None
            and self.model is other.model
            and self.candidates == other.candidates
            and self.conditions == other.conditions
            and self.strength == other.strength
            and _same_goal(self.goal, other.goal)
            and (self.lock is other.lock or (self.lock is not None and self.lock.same(other.lock)))
        )


@dataclass(frozen=True, eq=False)
class Answer:
    """The best so far: what was found, and its images in the same order."""

    ask: Ask
    found: Candidates
    batch: Batch

    def origin(self, index: int) -> dict[str, Any]:
        """What made one candidate, beside its latent, as JSON values."""
        search = self.ask.search
        return {"steered": search.candidate(self.found, index), "asked": search.asked(), "settings": search.settings}


def answers(ask: Ask, bank: Bank, progress: Progress, hand: Hand, start: Candidates | None = None) -> Iterator[Answer]:
    """Search, and tell the best so far, over and over.

    Parameters
    ----------
    ask
        What is searched for.
    bank
        Of the same model.
    progress
        Called between steps; ends the search by raising.
    hand
        While it is down the search rests.
    start
        What a refinement begins with.
    """
    from napari_pgan.latent.steering import Preserve, refine, steer

    leave_a_core()
    steps = _Steps(progress, hand)
    model, lock = cast("Model", _Interruptible(ask.model, steps)), ask.lock
    keep = None
    if lock is not None:
        modalities = None if lock.modality is None else [lock.modality]
        keep = Preserve.of(ask.model, lock.latent[None], lock.where[None], modalities, ask.conditions)
    how: dict[str, Any] = {"conditions": ask.conditions, "preserve": keep}
    if ask.strength is not None and start is not None:
        told = refine(model, ask.goal, start, strength=ask.strength, **how)
    else:
        told = steer(model, ask.goal, bank, candidates=ask.candidates, **how)
    for found in told:
        batch = ask.model.sample(latents=found.latents, offsets=found.offsets, conditions=ask.conditions)
        steps()
        yield Answer(ask, found, batch)


def leave_a_core() -> None:
    """Let torch use all cores but one in this thread, so that the window has one for itself."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))


def _same_goal(one: TargetMask | TargetAreas, other: TargetMask | TargetAreas) -> bool:
    from napari_pgan.latent.steering import TargetMask

    if isinstance(one, TargetMask) and isinstance(other, TargetMask):
        return np.array_equal(one.labels, other.labels) and np.array_equal(one.open, other.open)
    return type(one) is type(other) and one == other


class _Steps:
    """What happens between two steps of a search."""

    def __init__(self, progress: Progress, hand: Hand) -> None:
        self._progress, self._hand = progress, hand
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        self._hand.wait(lambda: self._progress(self._done, 0))


class _Interruptible:
    """A model that makes nothing once nobody waits for it: a search tells something only now and then."""

    def __init__(self, model: Model, between: Callable[[], None]) -> None:
        self._model, self._between = model, between

    def generate(self, *args: Any, **how: Any) -> Any:
        self._between()
        return self._model.generate(*args, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
