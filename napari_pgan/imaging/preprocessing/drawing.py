"""A segmentation in a file, as a slice that a model's grid can take."""

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
_INSIDE = 0.5  # pixels of the grid by which a slice within its field of view may stick out
_HARDLY = 0.4  # pixels of the grid: less does not show
_NEAR = 0.02  # pixels of the grid: less is none
_SHARED = 0.5  # of the smaller one of two slices with the same pixels: what both cover
_PARALLEL = 0.999  # cosine of 2.6 degrees


@dataclass(frozen=True)
class DrawnSlice:
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
    position
        Of the slice in a volume, counted from 0; None of a picture.
    """

    labels: np.ndarray
    affine: np.ndarray | None
    told: tuple[str, ...] = ()
    position: int | None = None


def read_drawing(path: str | os.PathLike[str], grid: Grid, position: int | None = None) -> DrawnSlice:
    """Read a label map for a model's grid.

    Volumes are turned as the grid's slices are. One whose coordinates are those of the model's samples (as they are
    written, `Grid.affine`) lies where they say; of any other the middle comes to lie on the middle of the grid, in
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
        return DrawnSlice(read_mask(path), None)
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
    affine, placed = _placed(volume, position, grid)
    return DrawnSlice(array[position], affine, (*told, *placed), position)


def _placed(volume: Volume, position: int, grid: Grid) -> tuple[np.ndarray | None, list[str]]:
    """Where a slice comes to lie on the grid, as `DrawnSlice.affine` has it, and what is to be said of that.

    By the world's coordinates where the file is of the space in which samples are written (`Grid.affine`, the middle of
    the grid at 0); no header says that it is, and scanners' and atlases' spaces have other middles. So it is taken to
    be when the slice lies within the grid's field of view, as what was cut out of a sample does, or has the same
    pixels; else middle is laid on middle.
    """
    if grid.spacing is None:
        return None, []
    shape, spacing = volume.array.shape[1:], volume.spacing[1:]
    scale = np.array(spacing) / np.array(grid.spacing)
    middles = np.diag([*scale, 1.0])
    middles[:2, 2] = (np.array(grid.shape) - 1) / 2 - scale * (np.array(shape) - 1) / 2
    world = _in_the_world(volume, position, grid)
    moved = np.abs(_corners(world, shape) - _corners(middles, shape)).max() > _HARDLY
    ours = _is_of_the_space(world, shape, grid) and not _tilted(volume, grid)
    affine = world if ours else middles
    told = []
    if moved and ours:
        told.append("Its coordinates are those of the model's images, and it was placed by them.")
    elif moved:
        told.append("Its coordinates are not those of the model's images, so middle was laid on middle.")
    same = shape == grid.shape and np.abs(_corners(affine, shape) - _corners(np.eye(3), shape)).max() < _HARDLY
    return None if same else affine, told


def _in_the_world(volume: Volume, position: int, grid: Grid) -> np.ndarray:
    """3×3, from indices (y, x, 1) of a slice to those of the grid, through the world."""
    onto = np.linalg.inv(grid.affine()) @ volume.affine  # of (x, y, z, 1)
    matrix = np.eye(3)
    matrix[:2, :2] = onto[1::-1, 1::-1]
    matrix[:2, 2] = (onto[:3, 2] * position + onto[:3, 3])[1::-1]
    return matrix


def _corners(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The outer corners of a slice's pixels in indices of the grid, (4, 2)."""
    height, width = shape
    edges = np.array([(y, x, 1.0) for y in (-0.5, height - 0.5) for x in (-0.5, width - 0.5)])
    return (edges @ affine.T)[:, :2]


def _is_of_the_space(world: np.ndarray, shape: tuple[int, ...], grid: Grid) -> bool:
    corners, size = _corners(world, shape), np.array(grid.shape)
    low, high = corners.min(axis=0), corners.max(axis=0)
    if (low > -0.5 - _INSIDE).all() and (high < size - 0.5 + _INSIDE).all():
        return True
    shared = np.minimum(high, size - 0.5) - np.maximum(low, -0.5)
    overlap = shared.clip(min=0).prod() / min(size.prod(), np.prod(shape))
    offset = world[:2, 2] - np.round(world[:2, 2])
    same_pixels = np.allclose(world[:2, :2], np.eye(2), atol=1e-3) and np.abs(offset).max() < _NEAR
    return bool(same_pixels and overlap >= _SHARED)


def _tilted(volume: Volume, grid: Grid) -> bool:
    """Whether slices of a volume are no slices of the grid's space, but cross them."""
    normal = np.cross(volume.affine[:3, 0], volume.affine[:3, 1])
    ours = grid.affine()[:3, 2]
    return bool(abs(normal @ ours) < _PARALLEL * np.linalg.norm(normal) * np.linalg.norm(ours))
