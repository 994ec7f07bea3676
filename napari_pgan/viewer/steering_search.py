"""Steering searches that run in a thread; imports neither Qt nor napari."""

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

_MAX_PAUSE = 30.0  # seconds; limits the pause after a missed mouse release

Progress = Callable[[int, int], None]


class Mouse:
    """Whether a mouse button is down on a drawing. Searches pause in the meantime and leave the CPU to the brush."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self._released.set()

    @property
    def is_down(self) -> bool:
        """Whether a stroke is being drawn."""
        return not self._released.is_set()

    def press(self) -> None:
        """Start a stroke."""
        self._released.clear()

    def release(self) -> None:
        """End a stroke."""
        self._released.set()

    def wait(self, check: Callable[[], None]) -> None:
        """Wait for the release; `check` is called repeatedly and may end the wait by raising."""
        waited = 0.0
        while not self._released.wait(0.02):
            check()
            waited += 0.02
            if waited > _MAX_PAUSE:
                self._released.set()
        check()


def load_bank(model: Model, progress: Progress, mouse: Mouse) -> Bank:
    """Load the bank of a model, or make it: seconds the first time, milliseconds afterwards.

    Parameters
    ----------
    model
        The model.
    progress
        Called with (done, total); ends the work by raising.
    mouse
        Pauses the work while it is down.
    """
    from napari_pgan.latent.steering import cached_bank

    limit_threads()
    return cached_bank(model, progress=lambda done, total: mouse.wait(lambda: progress(done, total)))


@dataclass(frozen=True, eq=False)
class Lock:
    """Part of an image that must stay.

    Parameters
    ----------
    latent
        (L,), latent of the image.
    where
        (Y, X) bool, the pixels that stay.
    modality
        The only modality that stays; None for all.
    """

    latent: np.ndarray
    where: np.ndarray
    modality: str | None = None

    def same(self, other: Lock | None) -> bool:
        """Whether both have equal values."""
        return (
            other is not None
            and self.modality == other.modality
            and np.array_equal(self.where, other.where)
            and np.array_equal(self.latent, other.latent)
        )


@dataclass(frozen=True, eq=False)
class SearchRequest:
    """Immutable input of a search.

    Parameters
    ----------
    model
        The model.
    target
        The segmentation, as a mask or as areas.
    count
        Number of candidates.
    conditions
        As in `Model.sample`.
    lock
        What must stay.
    strength
        Strength of a refinement; None for a search among latents alone.
    """

    model: Model
    target: TargetMask | TargetAreas
    count: int = 6
    conditions: Mapping[str, str | float] = field(default_factory=dict)
    lock: Lock | None = None
    strength: float | None = None

    @property
    def target_mask(self) -> TargetMask | None:
        """The target if it is drawn; None if it is given as areas."""
        from napari_pgan.latent.steering import TargetMask

        return self.target if isinstance(self.target, TargetMask) else None

    @property
    def steering_search(self) -> SteeringSearch:
        """The search as files record it."""
        from napari_pgan.samples import SteeringSearch

        settings: dict[str, Any] = {"candidates": self.count, "refine": self.strength}
        if self.lock is not None:
            settings["lock"] = {
                "pixels": int(self.lock.where.sum()),
                "modality": self.lock.modality,
                "latent": [float(x) for x in self.lock.latent],
            }
        stays = None if self.lock is None else self.lock.where
        return SteeringSearch(self.model, self.target, settings, self.conditions, stays)

    def same(self, other: SearchRequest) -> bool:
        """Whether both have equal values."""
        return (
            self.model is other.model
            and self.count == other.count
            and self.conditions == other.conditions
            and self.strength == other.strength
            and _same_target(self.target, other.target)
            and (self.lock is other.lock or (self.lock is not None and self.lock.same(other.lock)))
        )


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The best candidates so far, and their images in the same order."""

    request: SearchRequest
    candidates: Candidates
    batch: Batch

    def origin(self, index: int) -> dict[str, Any]:
        """Return the provenance of a candidate, besides its latent, as JSON values."""
        search = self.request.steering_search
        candidate = search.candidate(self.candidates, index)
        return {"steered": candidate, "asked": search.asked(), "settings": search.settings}


def run_search(
    request: SearchRequest, bank: Bank, progress: Progress, mouse: Mouse, start: Candidates | None = None
) -> Iterator[SearchResult]:
    """Search and yield the best candidates so far, again and again.

    Parameters
    ----------
    request
        Input of the search.
    bank
        Bank of the same model.
    progress
        Called between steps; ends the search by raising.
    mouse
        Pauses the search while it is down.
    start
        Initial candidates of a refinement.
    """
    from napari_pgan.latent.steering import Preserve, refine, steer

    limit_threads()
    check = _Checkpoint(progress, mouse)
    model, lock = cast("Model", _Interruptible(request.model, check)), request.lock
    preserve = None
    if lock is not None:
        modalities = None if lock.modality is None else [lock.modality]
        preserve = Preserve.of(request.model, lock.latent[None], lock.where[None], modalities, request.conditions)
    options: dict[str, Any] = {"conditions": request.conditions, "preserve": preserve}
    if request.strength is not None and start is not None:
        results = refine(model, request.target, start, strength=request.strength, **options)
    else:
        results = steer(model, request.target, bank, candidates=request.count, **options)
    for candidates in results:
        batch = request.model.sample(
            latents=candidates.latents, offsets=candidates.offsets, conditions=request.conditions
        )
        check()
        yield SearchResult(request, candidates, batch)


def limit_threads() -> None:
    """Let torch use all cores but one in this thread; the last one is for the window."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))


def _same_target(one: TargetMask | TargetAreas, other: TargetMask | TargetAreas) -> bool:
    from napari_pgan.latent.steering import TargetMask

    if isinstance(one, TargetMask) and isinstance(other, TargetMask):
        return np.array_equal(one.labels, other.labels) and np.array_equal(one.open, other.open)
    return type(one) is type(other) and one == other


class _Checkpoint:
    """Reports progress between two steps of a search and pauses it while the mouse is down."""

    def __init__(self, progress: Progress, mouse: Mouse) -> None:
        self._progress, self._mouse = progress, mouse
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        self._mouse.wait(lambda: self._progress(self._done, 0))


class _Interruptible:
    """A model that calls a checkpoint before it generates, since a search yields only now and then."""

    def __init__(self, model: Model, check: Callable[[], None]) -> None:
        self._model, self._check = model, check

    def generate(self, *args: Any, **options: Any) -> Any:
        self._check()
        return self._model.generate(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
