"""The figures of likeness, with all that a table of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from napari_pgan.evaluation.likeness.split_half import WithBaseline
from napari_pgan.evaluation.to_json import to_json


@dataclass(frozen=True)
class Figure:
    """One metric of likeness.

    Parameters
    ----------
    measure
        ``swd``, ``intensity``, ``frechet``, ``kernel``, ``precision``, ``recall``, ``density``, ``coverage`` or
        ``ms-ssim``.
    channels
        Channels compared: ``joint`` (all), ``labels``, ``images`` (all modalities), or a modality.
    level
        Level of the sliced Wasserstein distance, for example ``64x64`` or ``mean``; empty for other metrics.
    name
        Display name.
    better
        ``lower``, ``higher``, or ``floor``: the closer to the baseline, the better.
    says
        Explanation in one sentence.
    halves
        Comparison with half of the subjects; the baseline is the other half.
    held
        Comparison with held-out subjects; the baseline is the training subjects. None without held-out subjects.
    """

    measure: str
    channels: str
    level: str
    name: str
    better: Literal["lower", "higher", "floor"]
    says: str
    halves: WithBaseline
    held: WithBaseline | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Figure:
        """Create from JSON values."""
        both = {name: values[name] and WithBaseline.from_dict(values[name]) for name in ("halves", "held")}
        return cls(**{**values, **both})


@dataclass(frozen=True)
class Likeness:
    """All metrics of a model.

    Parameters
    ----------
    figures
        The metrics, most informative first.
    images, swd_images
        Number of images per set: for metrics of features and structural similarity, and for the sliced Wasserstein
        distance.
    held_images, held_swd_images
        The same for held-out subjects; 0 if there are none.
    subjects, held_subjects
        Number of real subjects, and of held-out ones among them.
    halvings
        Number of random splits.
    encoder
        Description of the feature encoder (`FeatureEncoder.about`).
    ssim
        Resolution and scales of MS-SSIM, as text.
    """

    figures: tuple[Figure, ...]
    images: int
    swd_images: int
    held_images: int
    held_swd_images: int
    subjects: int
    held_subjects: int
    halvings: int
    encoder: dict[str, Any]
    ssim: str

    def figure(self, measure: str, channels: str = "images", level: str = "") -> Figure:
        """Return the metric of that measure, channels and level; raise KeyError if there is none."""
        for one in self.figures:
            if (one.measure, one.channels, one.level) == (measure, channels, level):
                return one
        raise KeyError((measure, channels, level))

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return to_json(self)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Likeness:
        """Inverse of `to_dict`."""
        return cls(**{**values, "figures": tuple(Figure.from_dict(one) for one in values["figures"])})
