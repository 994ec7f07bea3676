"""A segmentation in a file, as a slice that a model's grid can take."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_pgan.imaging.photographs import read_mask
from napari_pgan.imaging.segmentation import read_segmentation
from napari_pgan.imaging.volume import VolumeError, orient
from napari_pgan.spec import Grid

PICTURES = (".png", ".tif", ".tiff", ".gif", ".bmp")


@dataclass(frozen=True)
class Drawing:
    """One slice of a label map.

    Parameters
    ----------
    labels
        (Y, X) whole numbers.
    affine
        3×3, from indices (y, x, 1) to indices on the grid that it was read for; None where it is to cover the same
        field of view.
    told
        What was done to it, one sentence each.
    """

    labels: np.ndarray
    affine: np.ndarray | None
    told: tuple[str, ...] = ()


def read_drawing(path: str | os.PathLike[str], grid: Grid, position: int | None = None) -> Drawing:
    """Read a label map for a model's grid.

    Volumes are turned as the grid's slices are; the middle of the volume comes to lie on the middle of the grid, in
    millimetres where the grid has them. Pictures cover the grid's field of view.

    Parameters
    ----------
    path
        A picture (`PICTURES`) or a volume (`read_segmentation`).
    grid
        The model's, two-dimensional.
    position
        The slice of a volume, counted from 0 along the axis that the grid lacks; None for that with the most labels.

    Raises
    ------
    VolumeError
        The file cannot be read, holds no whole numbers, or has no such slice.
    """
    if Path(path).suffix.lower() in PICTURES:
        if position not in (None, 0):
            raise VolumeError(path, "is a picture, which has one slice; leave the number of the slice out")
        return Drawing(read_mask(path), None)
    volume, _ = read_segmentation(path)
    letters = grid.orientation or "PL"
    volume = orient(volume, "LPS"[({0, 1, 2} - {"LPSRAI".index(letter) % 3 for letter in letters}).pop()] + letters)
    array = volume.array
    if array.dtype.kind == "f" and (array == np.round(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise VolumeError(path, "holds fractions; a segmentation has whole numbers")
    told = []
    if position is None:
        position = int((array != 0).sum((1, 2)).argmax()) if array.any() else len(array) // 2
        if len(array) > 1:
            why = "which has the largest lesion" if array.any() else "the middle one"
            told.append(f"Of {len(array)} slices number {position} was taken, {why}.")
    if not 0 <= position < len(array):
        raise VolumeError(path, f"has no slice {position}; it has {len(array)}, counted from 0")
    return Drawing(array[position], _onto(array.shape[1:], volume.spacing[1:], grid), tuple(told))


def _onto(shape: tuple[int, ...], spacing: tuple[float, ...], grid: Grid) -> np.ndarray | None:
    """Middle on middle, by millimetres."""
    if grid.spacing is None or (shape == grid.shape and np.allclose(spacing, grid.spacing, rtol=0.01)):
        return None
    scale = np.array(spacing) / np.array(grid.spacing)
    affine = np.diag([*scale, 1.0])
    affine[:2, 2] = (np.array(grid.shape) - 1) / 2 - scale * (np.array(shape) - 1) / 2
    return affine
