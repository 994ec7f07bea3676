"""Grids centred on a head, for both stores and single exams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_pgan.imaging.normalise.field_of_view import (
    Extent,
    area_averages,
    area_votes,
    crop_start,
    head_extent,
    pixel_weights,
)


@dataclass(frozen=True)
class Crop:
    """Mapping from the voxels of a volume to the pixels of a grid.

    Parameters
    ----------
    extent
        Bounding box of the head and spacing of the voxels.
    shape
        Pixels of the three axes in array order; a grid of slices keeps the volume's z.
    starts, steps
        Start of the first pixel and length of a pixel, in voxels, in array order.
    weights
        Weights of rows and columns, or of slices, rows and columns (see `pixel_weights`).
    """

    extent: Extent
    shape: tuple[int, ...]
    starts: tuple[float, ...]
    steps: tuple[float, ...]
    weights: tuple[np.ndarray, ...]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Pixel spacing in mm, in array order."""
        return tuple(float(own * step) for own, step in zip(self.extent.spacing, self.steps, strict=True))

    def images(self, array: np.ndarray, background: float) -> np.ndarray:
        """Resample an image by area averaging; pixels outside the volume get `background`."""
        return area_averages(array, self.weights, background)

    def labels(self, array: np.ndarray, values: Sequence[int] | np.ndarray) -> np.ndarray:
        """Resample a label map by area voting."""
        return area_votes(array, values, self.weights)

    def affine(self, affine: np.ndarray) -> np.ndarray:
        """Return the affine of the pixels from the affine of the voxels."""
        steps, starts = np.array(self.steps[::-1]), np.array(self.starts[::-1])
        change = np.diag([*steps, 1.0])
        change[:3, 3] = starts + steps / 2 - 0.5
        pixels: np.ndarray = affine @ change
        return pixels

    def cut(self, head: np.ndarray) -> float:
        """Return the share of head voxels that contribute to no pixel."""
        box = head
        for axis, weights in enumerate(self.weights, head.ndim - len(self.weights)):
            box = box.compress(weights.any(axis=0), axis)
        return float(1 - box.sum() / head.sum())


def crop_around(head: np.ndarray, spacing: tuple[float, ...], shape: tuple[int, ...], pixel: tuple[float, ...]) -> Crop:
    """Centre a grid on a head.

    Parameters
    ----------
    head
        bool (z, y, x), not empty.
    spacing
        Voxel spacing in mm, in array order.
    shape, pixel
        Pixels and their size in mm, in array order: of rows and columns to keep every slice, or of all three axes.
    """
    extent = head_extent(head, spacing)
    first = len(spacing) - len(shape)
    steps = [1.0] * first + [size / own for size, own in zip(pixel, spacing[first:], strict=True)]
    starts = [0.0] * first + [
        crop_start(*bounds, own, n * size)
        for bounds, own, n, size in zip(extent.bounds[first:], spacing[first:], shape, pixel, strict=True)
    ]
    weights = [
        pixel_weights(voxels, start, n * step, n)
        for voxels, start, n, step in zip(head.shape[first:], starts[first:], shape, steps[first:], strict=True)
    ]
    return Crop(extent, (*head.shape[:first], *shape), tuple(starts), tuple(steps), tuple(weights))
