"""Agreement of generated images and masks, judged by a segmenter trained on real images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.evaluation.segmentation.bootstrap import bootstrap
from napari_pgan.evaluation.segmentation.labelled import Labelled
from napari_pgan.evaluation.segmentation.overlap import masks_of, region_names
from napari_pgan.evaluation.segmentation.rims import rims
from napari_pgan.evaluation.segmentation.segmenter import Segmenter
from napari_pgan.evaluation.to_json import to_json
from napari_pgan.schema import Channels

_CHUNK = 256  # images per chunk
_LEAST = 1 / 500  # smallest share of an image's pixels for which the Dice of a label counts


@dataclass(frozen=True)
class Agreement:
    """Dice between judge and masks, averaged over images on which the label is large enough.

    Parameters
    ----------
    label
        Name, or ``all labels`` together.
    dice, low, high
        Generated images: mean, 5th and 95th percentile of a bootstrap over images.
    images
        Number of generated images.
    baseline, baseline_low, baseline_high
        Real images of subjects the judge has not seen: the same, with a bootstrap over subjects.
    baseline_images
        Number of real images.
    """

    label: str
    dice: float
    low: float
    high: float
    images: int
    baseline: float
    baseline_low: float
    baseline_high: float
    baseline_images: int


@dataclass(frozen=True)
class Rims:
    """Sharpness of label borders in a modality; see `rims`."""

    modality: str
    generated: float
    real: float


@dataclass(frozen=True)
class Consistency:
    """One row per label, and one per modality."""

    agreements: tuple[Agreement, ...]
    rims: tuple[Rims, ...]

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values; the baseline is called ``floor``."""
        return to_json(self)  # type: ignore[no-any-return]


def measure_consistency(judge: Segmenter, samples: Labelled, held_out: Labelled, channels: Channels) -> Consistency:
    """Compare the judge's segmentation of generated images with their masks.

    Parameters
    ----------
    judge
        Segmenter trained on real images of subjects other than `held_out`.
    samples
        Generated images with masks.
    held_out
        Real images with masks and subjects.
    channels
        Modalities and labels.
    """
    assert held_out.subject is not None
    values, names = channels.values.tolist(), region_names([x.name for x in channels.labels])
    mine, theirs = (_each_dice(judge, x, values) for x in (samples, held_out))
    rows = []
    for region, name in enumerate(names):
        own, real = mine[:, region], theirs[:, region]
        valid, real_valid = ~np.isnan(own), ~np.isnan(real)
        low, mean, high = _mean(own[valid], np.arange(valid.sum()))
        real_low, real_mean, real_high = _mean(real[real_valid], held_out.subject[real_valid])
        rows.append(
            Agreement(name, mean, low, high, int(valid.sum()), real_mean, real_low, real_high, int(real_valid.sum()))
        )
    pairs = zip(*(rims(x.images, x.labels) for x in (samples, held_out)), strict=True)
    sharp = tuple(Rims(name, a, b) for name, (a, b) in zip(channels.modalities, pairs, strict=True))
    return Consistency(tuple(rows), sharp)


def _each_dice(judge: Segmenter, data: Labelled, values: list[int]) -> np.ndarray:
    """Dice of each image and region (N, R); NaN if the mask is too small."""
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


def _mean(values: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """5th percentile, value and 95th percentile of the mean, resampling groups."""
    index = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(index, values), np.bincount(index)], axis=1)
    return bootstrap(lambda rows: float(rows[:, 0].sum() / rows[:, 1].sum()), sums)
