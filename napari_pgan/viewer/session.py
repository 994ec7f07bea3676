"""What a viewer's docks share: the model, where in its latent space one is, and what was made last.

The docks listen to it and never call each other. It knows neither Qt nor layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from napari_pgan.model import Batch, Model

_HISTORY = 100


@dataclass(frozen=True, eq=False)
class Place:
    """Where in latent space: a seed, or latents that were found otherwise.

    Parameters
    ----------
    seed
        Of the first sample; the next ones count on from it.
    latents
        (N, L) float32; used instead of the seed where given.
    offsets
        (N, W, …) for each of the first stages, of latents that were refined: `Model.sample` adds them.
    """

    seed: int = 0
    latents: np.ndarray | None = None
    offsets: tuple[np.ndarray, ...] = ()

    def same(self, other: Place) -> bool:
        """Whether both are the same place."""
        if self.latents is None or other.latents is None:
            return self.seed == other.seed and self.latents is other.latents
        mine, theirs = (self.latents, *self.offsets), (other.latents, *other.offsets)
        return len(mine) == len(theirs) and all(map(np.array_equal, mine, theirs))


@dataclass(frozen=True)
class Settings:
    """How a place is shown.

    Parameters
    ----------
    truncation
        0 to 1, see `Model.sample`.
    count
        Samples, counted on from the seed.
    stage
        The size, counted from 0; None is the last one.
    conditions
        Name → value.
    """

    truncation: float = 1.0
    count: int = 1
    stage: int | None = None
    conditions: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Request:
    """Everything that makes a batch, taken at one moment, so that a thread can work on it."""

    model: Model
    place: Place
    settings: Settings

    @property
    def seeds(self) -> list[int] | None:
        """The seeds of the samples, or None where the latents were found otherwise."""
        if self.place.latents is not None:
            return None
        return [(self.place.seed + i) % 2**32 for i in range(self.settings.count)]

    @property
    def count(self) -> int:
        """How many samples it makes."""
        return self.settings.count if self.place.latents is None else len(self.place.latents)

    def make(self, progress: Callable[[int, int], None] | None = None) -> Batch:
        """Sample the model."""
        s = self.settings
        source: dict[str, Any] = {"seeds": self.seeds} if self.seeds is not None else {"latents": self.place.latents}
        return self.model.sample(
            **source,
            offsets=self.place.offsets,
            truncation=s.truncation,
            stage=s.stage,
            conditions=s.conditions,
            progress=progress,
        )


@dataclass(frozen=True, eq=False)
class Shown:
    """The last good result and what it was made from.

    Parameters
    ----------
    request, batch
        What was asked for, and what came of it.
    origin
        What else made it, beside model and latents, as JSON values: how it was searched for.
    """

    request: Request
    batch: Batch
    origin: Mapping[str, Any] = field(default_factory=dict)


class Session:
    """The evented state of one viewer.

    Signals: `model_changed(model)`, `place_changed(place)`, `settings_changed(settings)`, `shown_changed(shown)`.
    """

    model_changed = Signal(object)
    place_changed = Signal(object)
    settings_changed = Signal(object)
    shown_changed = Signal(object)

    def __init__(self) -> None:
        self.model: Model | None = None
        self.source: str = ""
        self.place = Place()
        self.settings = Settings()
        self.shown: Shown | None = None
        self._history: list[Place] = []

    def use(self, model: Model, source: str) -> None:
        """Take another model; seed and truncation stay, what only the old model had goes.

        Parameters
        ----------
        model
            The model.
        source
            The file or the name of a shipped model that it came from.
        """
        same = self.model is not None and self.model.identity == model.identity
        self.model, self.source = model, source
        if not same:
            self._history = [p for p in self._history if p.latents is None]
            if self.place.latents is not None:
                self.place = Place(self.place.seed)
            self.settings = replace(self.settings, stage=None, conditions=model.card.default_conditions)
        self.model_changed.emit(model)
        self.place_changed.emit(self.place)
        self.settings_changed.emit(self.settings)

    def go(self, place: Place) -> None:
        """Move to another place; `undo` comes back."""
        if place.same(self.place):
            return
        self._history = [*self._history, self.place][-_HISTORY:]
        self.place = place
        self.place_changed.emit(place)

    def go_found(
        self,
        latents: np.ndarray,
        offsets: tuple[np.ndarray, ...] = (),
        conditions: Mapping[str, str | float] | None = None,
        truncation: float = 1.0,
    ) -> None:
        """Move to latents that were found, and show them as they were: at full size, told the same.

        Parameters
        ----------
        latents, offsets
            As in `Place`.
        conditions
            What the model was told; without any, what it is told now stays.
        truncation
            What their images were made with.
        """
        self.change(truncation=truncation, stage=None, **({"conditions": dict(conditions)} if conditions else {}))
        self.go(Place(self.place.seed, latents, offsets))

    @property
    def can_undo(self) -> bool:
        return bool(self._history)

    def undo(self) -> None:
        """Back to the place before; nothing at the beginning."""
        if self._history:
            self.place = self._history.pop()
            self.place_changed.emit(self.place)

    def change(self, **settings: Any) -> None:
        """Change some of the settings."""
        changed = replace(self.settings, **settings)
        if changed != self.settings:
            self.settings = changed
            self.settings_changed.emit(changed)

    def request(self) -> Request | None:
        """What is asked for now; None without a model."""
        return None if self.model is None else Request(self.model, self.place, self.settings)

    def show(self, shown: Shown) -> None:
        """Note a result as the last good one."""
        self.shown = shown
        self.shown_changed.emit(shown)


_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """The session of a viewer, made when it is first asked for; it goes when the viewer goes."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari hands a proxy to plugins
    if viewer not in _sessions:
        _sessions[viewer] = Session()
    return _sessions[viewer]
