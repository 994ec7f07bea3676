"""Intensities within labels: whether labels are where the images show the structures.

Distances of patches and of features hardly detect a segmentation on the wrong image, since images and labels are each
realistic. But the pixels of a misplaced label belong to any tissue. This metric compares the intensities of a modality
within a label between generated and real images, by the Wasserstein-1 distance of their distributions (Rubner et al.
2000, doi:10.1023/A:1026543900054), averaged over labels and modalities.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_pgan.evaluation.likeness.split_half import Comparison

_BINS = 200  # between -1 and 1
_CHUNK = 64  # images per chunk


def within_labels(
    real: tuple[np.ndarray, np.ndarray], generated: tuple[np.ndarray, np.ndarray], comparisons: Sequence[Comparison]
) -> list[tuple[float, float]]:
    """Return the distances × 10³ of the model and of the baseline for each comparison.

    Parameters
    ----------
    real, generated
        Images (N, M, Y, X) in [-1, 1] and label fractions (N, K, Y, X) in [0, 1]. A pixel belongs to a label that
        covers more than half of it. Images are read a few at a time and may be memory-mapped.
    comparisons
        Rows to compare.

    Returns
    -------
    list
        NaN for both if no label is in all three sets.
    """
    made = _histograms(generated, [c.generated for c in comparisons])
    other = _histograms(real, [c.other for c in comparisons])
    reference = _histograms(real, [c.reference for c in comparisons])
    found = []
    for a, b, c in zip(made, other, reference, strict=True):
        present = (a.sum(axis=(1, 2)) > 0) & (b.sum(axis=(1, 2)) > 0) & (c.sum(axis=(1, 2)) > 0)
        found.append((_distance(a[present], c[present]), _distance(b[present], c[present])))
    return found


def _histograms(data: tuple[np.ndarray, np.ndarray], sets: Sequence[np.ndarray]) -> np.ndarray:
    """Histogram of intensities per set of rows, label and modality: (sets, K, M, bins)."""
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
                scaled = (some[row, modality, y, x].astype(np.float32) + 1) * (_BINS / 2)
                bins = row * _BINS + scaled.astype(np.int64).clip(0, _BINS - 1)
                counts = np.bincount(bins, minlength=len(rows) * _BINS).reshape(len(rows), _BINS)
                totals[:, label, modality] += member @ counts
    return totals


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance × 10³ of histograms (K, M, bins), averaged over labels and modalities."""
    if not len(a):
        return float("nan")
    below = [x.cumsum(axis=-1) / x.sum(axis=-1, keepdims=True) for x in (a, b)]
    return float(1000 * (2 / _BINS) * np.abs(below[0] - below[1]).sum(axis=-1).mean())
