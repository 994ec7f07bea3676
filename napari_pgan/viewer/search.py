"""Searches for what is asked, for a thread beside the event loop; knows neither Qt nor layers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from napari_pgan.latent.steering import Bank, Found, Wish
    from napari_pgan.model import Batch, Model

_LOOKED_AT = 32  # samples that tell where a model's images show something
_EMPTY = 0.05 - 1  # intensity, in [-1, 1]: less is air
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


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a model needs before it is asked.

    Parameters
    ----------
    model
        Whose.
    bank
        Of latents with what they draw.
    head
        (Y, X) bool: where most images of the model show something.
    """

    model: Model
    bank: Bank
    head: np.ndarray


def prepare(model: Model, conditions: Mapping[str, str | float], progress: Progress, hand: Hand) -> Prepared:
    """Find or make the bank of a model; a few seconds the first time, then milliseconds."""
    from napari_pgan.latent.steering import kept_bank

    leave_a_core()

    def step(done: int, total: int) -> None:
        hand.wait(lambda: progress(done, total))

    bank = kept_bank(model, progress=step)
    images = model.sample(seeds=range(_LOOKED_AT), conditions=conditions).images
    return Prepared(model, bank, (images > _EMPTY).any(axis=1).mean(axis=0) > 0.5)


@dataclass(frozen=True, eq=False)
class Ask:
    """What is asked, taken at one moment.

    Parameters
    ----------
    model
        Of whom.
    wish
        The segmentation.
    candidates
        How many are searched for.
    conditions
        As in `Model.sample`.
    told
        What was done to the drawing, one sentence each.
    """

    model: Model
    wish: Wish
    candidates: int = 6
    conditions: Mapping[str, str | float] = field(default_factory=dict)
    told: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Answer:
    """The best so far: what was found, and its images in the same order."""

    ask: Ask
    found: Found
    batch: Batch


def answers(ask: Ask, prepared: Prepared, progress: Progress, hand: Hand) -> Iterator[Answer]:
    """Search, and tell the best so far, over and over.

    Parameters
    ----------
    ask
        What is searched for.
    prepared
        Of the same model.
    progress
        Called between steps; ends the search by raising.
    hand
        While it is down the search rests.
    """
    from napari_pgan.latent.steering import steer

    leave_a_core()
    steps = _Steps(progress, hand)
    model = cast("Model", _Interruptible(ask.model, steps))
    for found in steer(model, ask.wish, prepared.bank, candidates=ask.candidates, conditions=ask.conditions):
        batch = ask.model.sample(latents=found.latents, conditions=ask.conditions)
        steps()
        yield Answer(ask, found, batch)


def leave_a_core() -> None:
    """Let torch use all cores but one in this thread, so that the window has one for itself."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))


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
