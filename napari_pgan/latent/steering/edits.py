"""Edits of a segmentation: move, grow or remove the lesion."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_pgan.errors import InputError


def moved(labels: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Return the label map with the lesion moved.

    Parameters
    ----------
    labels
        (Y, X) label map, 0 for background.
    dy, dx
        Pixels down and to the right.

    Raises
    ------
    InputError
        The lesion would leave the image.
    """
    found = np.zeros_like(labels)
    height, width = labels.shape
    to = (slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0)))
    of = (slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0)))
    if abs(dy) < height and abs(dx) < width:
        found[to] = labels[of]
    if labels.any() and not found.any():
        raise InputError(f"the lesion leaves the image if it moves {dy} down and {dx} to the right; move it by less")
    return found


def grown(labels: np.ndarray, factor: float) -> np.ndarray:
    """Return the label map with the lesion scaled about its centre.

    Parameters
    ----------
    labels
        (Y, X) label map, 0 for background.
    factor
        Ratio of the new area to the old: 2 doubles it, 0.5 halves it.

    Raises
    ------
    InputError
        The factor is not above 0, or there is no lesion.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise InputError(f"an area cannot be multiplied by {factor:g}; give a factor above 0")
    inside = np.argwhere(labels)
    if not len(inside):
        raise InputError("there is no lesion to scale; choose an image with one, or draw it")
    centre, scale = inside.mean(axis=0), factor**-0.5
    offset = centre * (1 - scale)
    return ndimage.affine_transform(labels, [scale, scale], offset, order=0, mode="grid-constant", cval=0)


def removed(labels: np.ndarray, *values: int) -> np.ndarray:
    """Return the label map without these labels, or without any if none is given; they become background."""
    gone = np.isin(labels, values) if values else labels != 0
    return np.where(gone, 0, labels).astype(labels.dtype)
