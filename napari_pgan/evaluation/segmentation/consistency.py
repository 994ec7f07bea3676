"""Does the generated mask fit the generated image? A segmenter of real images is the judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_pgan.evaluation.segmentation.bootstrap import bootstrap
from napari_pgan.evaluation.segmentation.labelled import Labelled
from napari_pgan.evaluation.segmentation.overlap import masks_of, region_names
from napari_pgan.evaluation.segmentation.rims import rims
from napari_pgan.evaluation.segmentation.segmenter import Segmenter
from napari_pgan.schema import Channels

_CHUNK = 256  # images at once
_LEAST = 1 / 500  # of an image's pixels, that a label must fill for its Dice to count


@dataclass(frozen=True)
class Agreement:
    """How far the judge agrees with masks: Dice, averaged over images on which the label is large enough.

    Parameters
    ----------
    label
        Its name, or ``all labels`` together.
    dice
        On generated pairs, with `low` and `high`, the 5th and 95th percentile of a bootstrap over images.
    images
        Generated images that count.
    floor
        On real pairs of subjects that the judge has not seen, with `floor_low` and `floor_high`, of a bootstrap over
        subjects.
    floor_images
        Real images that count.
    """

    label: str
    dice: float
    low: float
    high: float
    images: int
    floor: float
    floor_low: float
    floor_high: float
    floor_images: int


@dataclass(frozen=True)
class Rims:
    """How much finer detail a modality has on borders of labels than elsewhere; see `rims`."""

    modality: str
    generated: float
    real: float


@dataclass(frozen=True)
class Consistency:
    """A row for each label, and one for each modality."""

    agreements: tuple[Agreement, ...]
    rims: tuple[Rims, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Consistency:
        """From what `to_dict` gave."""
        return cls(tuple(Agreement(**x) for x in data["agreements"]), tuple(Rims(**x) for x in data["rims"]))


def measure_consistency(judge: Segmenter, samples: Labelled, held_out: Labelled, channels: Channels) -> Consistency:
    """Let a judge segment generated images, and look how far it finds their masks.

    Parameters
    ----------
    judge
        Trained on real images of other subjects than `held_out`.
    samples
        Generated images with their masks.
    held_out
        Real images with theirs, and their subjects.
    channels
        What the labels and modalities are.
    """
    assert held_out.subject is not None
    values, names = channels.values.tolist(), region_names([x.name for x in channels.labels])
    mine, theirs = (_each_dice(judge, x, values) for x in (samples, held_out))
    rows = []
    for region, name in enumerate(names):
        own, real = mine[:, region], theirs[:, region]
        there, real_there = ~np.isnan(own), ~np.isnan(real)
        low, mean, high = _mean(own[there], np.arange(there.sum()))
        floor_low, floor, floor_high = _mean(real[real_there], held_out.subject[real_there])
        rows.append(
            Agreement(name, mean, low, high, int(there.sum()), floor, floor_low, floor_high, int(real_there.sum()))
        )
    pairs = zip(*(rims(x.images, x.labels) for x in (samples, held_out)), strict=True)
    sharp = tuple(Rims(name, a, b) for name, (a, b) in zip(channels.modalities, pairs, strict=True))
    return Consistency(tuple(rows), sharp)


def _each_dice(judge: Segmenter, data: Labelled, values: list[int]) -> np.ndarray:
    """Dice of each image and region (N, R), not a number where the mask is too small to tell."""
    parts = []
    for start in range(0, len(data), _CHUNK):
        part = slice(start, start + _CHUNK)
        a, b = (
            masks_of(x, values).reshape(-1, len(x), x[0].size)
            for x in (judge.predict(data.images[part]), data.labels[part])
        )
        both, size = (a & b).sum(-1), b.sum(-1)
        found = 2 * both / np.maximum(a.sum(-1) + size, 1)
        parts.append(np.where(size >= _LEAST * a.shape[-1], found, np.nan).T)
    return np.concatenate(parts)


def _mean(figures: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """5th percentile, value and 95th percentile of the mean, groups drawn anew with replacement."""
    index = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(index, figures), np.bincount(index)], axis=1)
    return bootstrap(lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()), sums)
