"""The figures of likeness, with all that a table of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from napari_pgan.evaluation.likeness.split_half import WithBaseline


@dataclass(frozen=True)
class Figure:
    """One number of likeness.

    Parameters
    ----------
    measure
        ``swd``, ``intensity``, ``frechet``, ``kernel``, ``precision``, ``recall``, ``density``, ``coverage`` or
        ``ms-ssim``.
    channels
        What is looked at: ``joint`` (all), ``labels``, ``images`` (all modalities), or a modality.
    level
        Of the sliced Wasserstein distance, such as ``64x64`` or ``mean``; else empty.
    name
        For people.
    better
        ``lower``, ``higher``, or ``floor``: the nearer to the floor the better.
    says
        What it tells, in a sentence.
    halves
        The model's images against one half of the subjects, beside the other half against it.
    held
        The model's images against held-out subjects, beside training subjects against these; None without such.
    """

    measure: str
    channels: str
    level: str
    name: str
    better: Literal["lower", "higher", "floor"]
    says: str
    halves: WithBaseline
    held: WithBaseline | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Figure:
        """The inverse of `to_dict`."""
        both = {name: values[name] and WithBaseline.from_dict(values[name]) for name in ("halves", "held")}
        return cls(**{**values, **both})


@dataclass(frozen=True)
class Likeness:
    """All figures of a model.

    Parameters
    ----------
    figures
        The most telling ones first.
    images, swd_images
        How many images each compared set has: for measures on features and structural similarity, and for the sliced
        Wasserstein distance.
    held_images, held_swd_images
        The same for held-out subjects; 0 without such.
    subjects, held_subjects
        Real ones that were compared with, and how many of them are held out.
    halvings
        How often the subjects were parted.
    encoder
        What made the features (`FeatureEncoder.about`).
    ssim
        Through what MS-SSIM looks, in words.
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
        """The one of that measure, channels and level; KeyError if there is none."""
        for one in self.figures:
            if (one.measure, one.channels, one.level) == (measure, channels, level):
                return one
        raise KeyError((measure, channels, level))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "figures": [one.to_dict() for one in self.figures]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Likeness:
        """The inverse of `to_dict`."""
        return cls(**{**values, "figures": tuple(Figure.from_dict(one) for one in values["figures"])})
