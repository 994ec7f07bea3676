"""State that the docks of a viewer share: the model, the latents, the settings and the last result.

Docks listen to its signals and never call each other. The module imports neither Qt nor napari.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any
from weakref import WeakKeyDictionary

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from napari_pgan.model import Batch, Model

MAX_SAMPLES = 64
_MAX_HISTORY = 100


@dataclass(frozen=True, eq=False)
class LatentSource:
    """A seed, or latents that do not come from a seed.

    Parameters
    ----------
    seed
        Seed of the first sample; further samples have the next seeds.
    latents
        (N, L) float32; replace the seed.
    offsets
        (N, W, …) for each of the first stages: feature offsets of refined latents, see `Model.sample`.
    """

    seed: int = 0
    latents: np.ndarray | None = None
    offsets: tuple[np.ndarray, ...] = ()

    def same(self, other: LatentSource) -> bool:
        """Whether both give the same latents."""
        if self.latents is None or other.latents is None:
            return self.seed == other.seed and self.latents is other.latents
        mine, theirs = (self.latents, *self.offsets), (other.latents, *other.offsets)
        return len(mine) == len(theirs) and all(map(np.array_equal, mine, theirs))


@dataclass(frozen=True)
class Settings:
    """How latents are sampled. The annotations describe the form of the Explore dock.

    Parameters
    ----------
    truncation
        0 to 1, see `Model.sample`.
    count
        Number of consecutive seeds.
    stage
        Index of the output size; None is the last and largest one.
    conditions
        Name → value.
    """

    truncation: Annotated[
        float,
        {
            "label": "Truncation",
            "tooltip": "1 shows the whole variety; lower values draw all samples towards the average one",
            "widget_type": "FloatSlider",
            "min": 0.0,
            "max": 1.0,
            "step": 0.05,
            "reset": "Back to 1",
        },
    ] = 1.0
    count: Annotated[
        int, {"label": "Samples", "tooltip": "How many samples, with consecutive seeds", "min": 1, "max": MAX_SAMPLES}
    ] = 1
    stage: Annotated[
        int | None,
        {"label": "Size", "tooltip": "Smaller sizes are faster and show the same image", "choices": [("", None)]},
    ] = None
    conditions: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SampleRequest:
    """Immutable input of one sampling, safe to use in a thread."""

    model: Model
    latent: LatentSource
    settings: Settings

    @property
    def seeds(self) -> list[int] | None:
        """Seeds of the samples; None if the latents do not come from a seed."""
        if self.latent.latents is not None:
            return None
        return [(self.latent.seed + i) % 2**32 for i in range(self.settings.count)]

    @property
    def count(self) -> int:
        """Number of samples."""
        return self.settings.count if self.latent.latents is None else len(self.latent.latents)

    def run(self, progress: Callable[[int, int], None] | None = None) -> Batch:
        """Sample the model."""
        s = self.settings
        source: dict[str, Any] = {"seeds": self.seeds} if self.seeds is not None else {"latents": self.latent.latents}
        return self.model.sample(
            **source,
            offsets=self.latent.offsets,
            truncation=s.truncation,
            stage=s.stage,
            conditions=s.conditions,
            progress=progress,
        )


@dataclass(frozen=True, eq=False)
class SampleResult:
    """A batch with its request.

    Parameters
    ----------
    request, batch
        Input and output of the sampling.
    origin
        Additional provenance as JSON values, such as the search that found the latents.
    """

    request: SampleRequest
    batch: Batch
    origin: Mapping[str, Any] = field(default_factory=dict)


class Session:
    """Evented state of one viewer.

    Signals: `model_changed(model)`, `latent_changed(latent)`, `settings_changed(settings)`, `result_changed(result)`.
    """

    model_changed = Signal(object)
    latent_changed = Signal(object)
    settings_changed = Signal(object)
    result_changed = Signal(object)

    def __init__(self) -> None:
        self.model: Model | None = None
        self.source: str = ""
        self.latent = LatentSource()
        self.settings = Settings()
        self.result: SampleResult | None = None
        self._history: list[LatentSource] = []

    def use(self, model: Model, source: str) -> None:
        """Change the model; keep seed and truncation, reset what depends on the model.

        Parameters
        ----------
        model
            The new model.
        source
            Its file, or the name of a shipped model.
        """
        same = self.model is not None and self.model.identity == model.identity
        self.model, self.source = model, source
        if not same:
            self._history = [latent for latent in self._history if latent.latents is None]
            if self.latent.latents is not None:
                self.latent = LatentSource(self.latent.seed)
            self.settings = replace(self.settings, stage=None, conditions=model.card.default_conditions)
        self.model_changed.emit(model)
        self.latent_changed.emit(self.latent)
        self.settings_changed.emit(self.settings)

    def set_latent(self, latent: LatentSource) -> None:
        """Change the latents; `undo` restores the previous ones."""
        if latent.same(self.latent):
            return
        self._history = [*self._history, self.latent][-_MAX_HISTORY:]
        self.latent = latent
        self.latent_changed.emit(latent)

    def set_latents(
        self,
        latents: np.ndarray,
        offsets: tuple[np.ndarray, ...] = (),
        conditions: Mapping[str, str | float] | None = None,
        truncation: float = 1.0,
    ) -> None:
        """Change to latents without a seed, with the settings of their images and at full size.

        Parameters
        ----------
        latents, offsets
            As in `LatentSource`.
        conditions
            Conditions of their images; the present ones stay if there are none.
        truncation
            Truncation of their images.
        """
        self.change(truncation=truncation, stage=None, **({"conditions": dict(conditions)} if conditions else {}))
        self.set_latent(LatentSource(self.latent.seed, latents, offsets))

    @property
    def can_undo(self) -> bool:
        return bool(self._history)

    def undo(self) -> None:
        """Restore the previous latents, if there are any."""
        if self._history:
            self.latent = self._history.pop()
            self.latent_changed.emit(self.latent)

    def change(self, **settings: Any) -> None:
        """Change some settings."""
        changed = replace(self.settings, **settings)
        if changed != self.settings:
            self.settings = changed
            self.settings_changed.emit(changed)

    def request(self) -> SampleRequest | None:
        """Return the present request; None without a model."""
        return None if self.model is None else SampleRequest(self.model, self.latent, self.settings)

    def set_result(self, result: SampleResult) -> None:
        """Set the last successful result."""
        self.result = result
        self.result_changed.emit(result)


_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Return the session of a viewer; it lives as long as the viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari passes a proxy to plugins
    if viewer not in _sessions:
        _sessions[viewer] = Session()
    return _sessions[viewer]
