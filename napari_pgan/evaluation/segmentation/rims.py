"""Rims: whether borders of labels are visible as lines in the modalities.

One network generates images and one-hot masks, and a mask's border tends to leak into the modalities as a bright or
dark line. Real images are sharper along lesion borders, too, so the metric must be compared with that of real images.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, uniform_filter

_BACKGROUND = -0.9  # a pixel belongs to the head if any modality exceeds this
_LEAST = 1 / 200  # images with a smaller share of labelled pixels are skipped


def rims(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the ratio of fine detail on label borders to that elsewhere in the head, per modality.

    Detail is the mean absolute difference between a pixel and the mean of its 3×3 neighbourhood.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1].
    labels
        (N, Y, X), 0 for background.

    Returns
    -------
    np.ndarray
        (M,); 1 if label borders are like other places, NaN if no image has large enough labels.
    """
    on, off = np.zeros((2, images.shape[1])), np.zeros((2, images.shape[1]))
    for image, mask in zip(images, labels, strict=True):
        if (mask > 0).sum() < _LEAST * mask.size:
            continue
        image = image.astype(np.float32, copy=False)
        detail = np.abs(image - uniform_filter(image, (0, 3, 3)))
        inner = binary_erosion((image > _BACKGROUND).any(axis=0), iterations=2)  # excludes the sharp border of the head
        border = _borders(mask) & inner
        away = inner & ~binary_dilation(border, iterations=2)
        for total, where in ((on, border), (off, away)):
            total[0] += detail[:, where].sum(axis=1)
            total[1] += where.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return (on[0] / on[1]) / (off[0] / off[1])


def _borders(labels: np.ndarray) -> np.ndarray:
    """Pixels next to a pixel with another label."""
    found = np.zeros(labels.shape, bool)
    rows, columns = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= rows
    found[:-1] |= rows
    found[:, 1:] |= columns
    found[:, :-1] |= columns
    return found
