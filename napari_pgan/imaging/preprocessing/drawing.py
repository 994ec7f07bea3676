"""Read one slice of a segmentation from a file for a model's grid."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.segmentation import read_segmentation
from napari_pgan.imaging.io.volume import Volume, orient
from napari_pgan.imaging.preprocessing.photographs import read_mask
from napari_pgan.schema import Grid

PICTURES = (".png", ".tif", ".tiff", ".gif", ".bmp")
# tolerances in pixels of the grid
_OUTSIDE = 0.5  # by which a slice may exceed the field of view
_VISIBLE = 0.4  # smaller shifts do not show
_ALIGNED = 0.02  # offset between equal pixels

_MIN_OVERLAP = 0.5  # as a fraction of the smaller of two slices with aligned pixels
_PARALLEL = 0.999  # cosine of 2.6 degrees


@dataclass(frozen=True)
class DrawnSlice:
    """One slice of a label map.

    Parameters
    ----------
    labels
        (Y, X), integers.
    affine
        3×3, from indices (y, x, 1) to indices of the model's grid; None if it covers the same field of view.
    messages
        What was done to it, one sentence each.
    position
        Index of the slice in a volume; None for a picture.
    """

    labels: np.ndarray
    affine: np.ndarray | None
    messages: tuple[str, ...] = ()
    position: int | None = None


def read_drawing(path: str | os.PathLike[str], grid: Grid, position: int | None = None) -> DrawnSlice:
    """Read a slice of a label map for a model's grid.

    Volumes are reoriented to the grid's slices. A volume in the coordinates of the model's samples (`Grid.affine`) is
    placed by its coordinates; any other is centred on the grid, in millimetres if the grid has them. Pictures cover the
    grid's field of view.

    Parameters
    ----------
    path
        A picture (`PICTURES`) or a volume (`read_segmentation`).
    grid
        The model's two-dimensional grid.
    position
        Index of the slice; None: the slice with the most labelled pixels.

    Raises
    ------
    VolumeError
        The file cannot be read, does not hold whole numbers, or lacks the slice.
    """
    if Path(path).suffix.lower() in PICTURES:
        if position not in (None, 0):
            raise VolumeError(path, "is a picture with one slice; omit the slice number")
        return DrawnSlice(read_mask(path), None)
    volume, _ = read_segmentation(path)
    letters = grid.orientation or "PL"
    volume = orient(volume, "LPS"[({0, 1, 2} - {"LPSRAI".index(letter) % 3 for letter in letters}).pop()] + letters)
    array = volume.array
    if array.dtype.kind == "f" and (array == np.round(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise VolumeError(path, "contains fractions; a segmentation has whole numbers")
    messages = []
    if position is None:
        position = int((array != 0).sum((1, 2)).argmax()) if array.any() else len(array) // 2
        if len(array) > 1:
            why = "which has the largest lesion" if array.any() else "the middle one"
            messages.append(f"Slice {position} of {len(array)} was used, {why}.")
    if not 0 <= position < len(array):
        raise VolumeError(path, f"has no slice {position}; it has {len(array)}, counted from 0")
    affine, placement = _place(volume, position, grid)
    return DrawnSlice(array[position], affine, (*messages, *placement), position)


def _place(volume: Volume, position: int, grid: Grid) -> tuple[np.ndarray | None, list[str]]:
    """Return `DrawnSlice.affine` for a slice, and messages.

    World coordinates count only if the file is in the space of the model's samples (`Grid.affine`, origin at the
    centre of the grid). No header says so, and the spaces of scanners and atlases have other origins. So this space is
    assumed if the slice lies within the grid's field of view or has the same pixels; otherwise centres are aligned.
    """
    if grid.spacing is None:
        return None, []
    shape, spacing = volume.array.shape[1:], volume.spacing[1:]
    scale = np.array(spacing) / np.array(grid.spacing)
    centred = np.diag([*scale, 1.0])
    centred[:2, 2] = (np.array(grid.shape) - 1) / 2 - scale * (np.array(shape) - 1) / 2
    world = _through_world(volume, position, grid)
    moved = np.abs(_corners(world, shape) - _corners(centred, shape)).max() > _VISIBLE
    same_space = _is_in_sample_space(world, shape, grid) and _is_parallel(volume, grid)
    affine = world if same_space else centred
    messages = []
    if moved and same_space:
        messages.append("Its coordinates are those of the model's images, so it was placed by them.")
    elif moved:
        messages.append("Its coordinates are not those of the model's images, so it was centred on the grid.")
    same = shape == grid.shape and np.abs(_corners(affine, shape) - _corners(np.eye(3), shape)).max() < _VISIBLE
    return None if same else affine, messages


def _through_world(volume: Volume, position: int, grid: Grid) -> np.ndarray:
    """Return the 3×3 matrix from indices (y, x, 1) of a slice to those of the grid by world coordinates."""
    matrix_3d = np.linalg.inv(grid.affine()) @ volume.affine  # of (x, y, z, 1)
    matrix = np.eye(3)
    matrix[:2, :2] = matrix_3d[1::-1, 1::-1]
    matrix[:2, 2] = (matrix_3d[:3, 2] * position + matrix_3d[:3, 3])[1::-1]
    return matrix


def _corners(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the outer corners of a slice in indices of the grid: (4, 2)."""
    height, width = shape
    edges = np.array([(y, x, 1.0) for y in (-0.5, height - 0.5) for x in (-0.5, width - 0.5)])
    return (edges @ affine.T)[:, :2]


def _is_in_sample_space(world: np.ndarray, shape: tuple[int, ...], grid: Grid) -> bool:
    corners, size = _corners(world, shape), np.array(grid.shape)
    low, high = corners.min(axis=0), corners.max(axis=0)
    if (low > -0.5 - _OUTSIDE).all() and (high < size - 0.5 + _OUTSIDE).all():
        return True
    shared = np.minimum(high, size - 0.5) - np.maximum(low, -0.5)
    overlap = shared.clip(min=0).prod() / min(size.prod(), np.prod(shape))
    offset = world[:2, 2] - np.round(world[:2, 2])
    same_pixels = np.allclose(world[:2, :2], np.eye(2), atol=1e-3) and np.abs(offset).max() < _ALIGNED
    return bool(same_pixels and overlap >= _MIN_OVERLAP)


def _is_parallel(volume: Volume, grid: Grid) -> bool:
    """Return whether slices of a volume are parallel to those of the grid."""
    normal = np.cross(volume.affine[:3, 0], volume.affine[:3, 1])
    axis = grid.affine()[:3, 2]
    return bool(abs(normal @ axis) >= _PARALLEL * np.linalg.norm(normal) * np.linalg.norm(axis))
