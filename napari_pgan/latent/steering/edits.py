"""Changes of a segmentation that there is, to ask for one that is moved, larger, smaller or without a label."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_pgan.errors import InputError


def moved(labels: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """The lesion elsewhere.

    Parameters
    ----------
    labels
        (Y, X) label map, 0 for background.
    dy, dx
        Pixels down and to the right.

    Raises
    ------
    InputError
        Nothing of it would be left in the image.
    """
    found = np.zeros_like(labels)
    height, width = labels.shape
    to = (slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
    of = (slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0)))
    if abs(dy) < height and abs(dx) < width:
        found[to] = labels[of]
    if labels.any() and not found.any():
        raise InputError(f"moved by {dy} down and {dx} to the right nothing is left in the image; move it by less")
    return found


def grown(labels: np.ndarray, factor: float) -> np.ndarray:
    """The lesion larger or smaller, in its shape, about its centre.

    Parameters
    ----------
    labels
        (Y, X) label map, 0 for background.
    factor
        Of its area: 2 for twice as much, 0.5 for half.

    Raises
    ------
    InputError
        The factor is not above 0, or there is nothing to grow.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InputError(f"an area cannot become {factor:g} times as large; give a factor above 0")
    inside = np.argwhere(labels)
    if not len(inside):
        raise InputError("there is no lesion to grow; take an image with one, or draw it")
    centre, scale = inside.mean(axis=0), factor**-0.5
    offset = centre * (1 - scale)
    return ndimage.affine_transform(labels, [scale, scale], offset, order=0, mode="grid-constant", cval=0)


def removed(labels: np.ndarray, *values: int) -> np.ndarray:
    """Without these labels, or without any if none is named: what they covered becomes background."""
    gone = np.isin(labels, values) if values else labels != 0
    return np.where(gone, 0, labels).astype(labels.dtype)
