"""Do labels lie where the images show them? What a modality looks like within a label says so.

Distances of patches and of features hardly notice a segmentation that lies on the wrong image, since images and labels
are each as they should be. But then the pixels of an oedema are any tissue's. So the intensities that a modality has
within a label are compared, generated with real: by the Wasserstein distance of order 1 of their distributions
(Rubner et al. 2000, doi:10.1023/A:1026543900054), averaged over labels and modalities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_pgan.evaluation.likeness.split_half import Comparison

_BINS = 200  # of the range from -1 to 1
_CHUNK = 64  # images at once


def within_labels(
    real: tuple[np.ndarray, np.ndarray], generated: tuple[np.ndarray, np.ndarray], trios: Sequence[Comparison]
) -> list[tuple[float, float]]:
    """The model's distance and the floor's, × 10³, of each trio.

    Parameters
    ----------
    real, generated
        Images (N, M, Y, X) in [-1, 1] and label fractions (N, K, Y, X) in 0 to 1. A pixel is a label's where it fills
        more than half. They are read a few images at a time and may lie on disk.
    trios
        Rows to be compared.

    Returns
    -------
    list
        Both are NaN where no label is in all three sets.
    """
    made = _counted(generated, [trio.generated for trio in trios])
    other = _counted(real, [trio.other for trio in trios])
    reference = _counted(real, [trio.reference for trio in trios])
    found = []
    for a, b, c in zip(made, other, reference, strict=True):
        there = (a.sum(axis=(1, 2)) > 0) & (b.sum(axis=(1, 2)) > 0) & (c.sum(axis=(1, 2)) > 0)
        found.append((_distance(a[there], c[there]), _distance(b[there], c[there])))
    return found


def _counted(data: tuple[np.ndarray, np.ndarray], sets: Sequence[np.ndarray]) -> np.ndarray:
    """How many pixels of each label have which intensity, for each set of rows: (sets, K, M, bins)."""
    images, fractions = data
    modalities, labels = images.shape[1], fractions.shape[1]
    totals = np.zeros((len(sets), labels, modalities, _BINS))
    every = np.unique(np.concatenate(sets)) if len(sets) else np.empty(0, np.int64)
    for start in range(0, len(every), _CHUNK):
        rows = every[start : start + _CHUNK]
        some, shares = images[rows], fractions[rows]
        member = np.stack([np.isin(rows, one) for one in sets]).astype(np.float64)  # (sets, rows)
        for label in range(labels):
            row, y, x = np.nonzero(shares[:, label] > 0.5)
            for modality in range(modalities):
                place = (
                    ((some[row, modality, y, x].astype(np.float32) + 1) * (_BINS / 2))
                    .astype(np.int64)
                    .clip(0, _BINS - 1)
                )
                counts = np.bincount(row * _BINS + place, minlength=len(rows) * _BINS).reshape(len(rows), _BINS)
                totals[:, label, modality] += member @ counts
    return totals


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """× 10³, of histograms (K, M, bins), averaged over labels and modalities."""
    if not len(a):
        return float("nan")
    below = [x.cumsum(axis=-1) / x.sum(axis=-1, keepdims=True) for x in (a, b)]
    return float(1000 * (2 / _BINS) * np.abs(below[0] - below[1]).sum(axis=-1).mean())
