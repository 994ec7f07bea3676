"""A grid laid on a head, so that the middle of one is that of the other: the same for a store and for one exam."""

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
    """Which voxels of a volume make which pixels.

    Parameters
    ----------
    extent
        The box of the head, and the voxels' spacing.
    shape
        Pixels, in array order of three axes; along z a window of slices has the volume's own.
    starts, steps
        Where the first pixel begins and how long a pixel is, in voxels, in array order.
    weights
        From voxels to pixels: of rows and columns, or of slices, too (see `pixel_weights`).
    """

    extent: Extent
    shape: tuple[int, ...]
    starts: tuple[float, ...]
    steps: tuple[float, ...]
    weights: tuple[np.ndarray, ...]

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres of the pixels, in array order."""
        return tuple(float(own * step) for own, step in zip(self.extent.spacing, self.steps, strict=True))

    def images(self, array: np.ndarray, background: float) -> np.ndarray:
        """An image on the grid, by area averages; `background` is outside the volume."""
        return area_averages(array, self.weights, background)

    def labels(self, array: np.ndarray, values: Sequence[int] | np.ndarray) -> np.ndarray:
        """A label map on the grid, by votes of the areas."""
        return area_votes(array, values, self.weights)

    def affine(self, affine: np.ndarray) -> np.ndarray:
        """From indices (x, y, z) of pixels to millimetres, of the same for voxels."""
        change = np.eye(4)
        for column, (start, step) in enumerate(zip(self.starts[::-1], self.steps[::-1], strict=True)):
            change[column, column], change[column, 3] = step, start + step / 2 - 0.5
        found: np.ndarray = affine @ change
        return found

    def cut(self, head: np.ndarray) -> float:
        """Share of a head's voxels that have a part in no pixel."""
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
        Millimetres between its voxels, in array order.
    shape, pixel
        Pixels and their millimetres in array order: of rows and columns, where every slice stays, or of all three axes.
    """
    extent = head_extent(head, spacing)
    first = len(spacing) - len(shape)
    steps = [1.0] * first + [wanted / own for wanted, own in zip(pixel, spacing[first:], strict=True)]
    starts = [0.0] * first + [
        crop_start(*bounds, own, n * wanted)
        for bounds, own, n, wanted in zip(extent.bounds[first:], spacing[first:], shape, pixel, strict=True)
    ]
    weights = [
        pixel_weights(have, start, n * step, n)
        for have, start, n, step in zip(head.shape[first:], starts[first:], shape, steps[first:], strict=True)
    ]
    return Crop(extent, (*head.shape[:first], *shape), tuple(starts), tuple(steps), tuple(weights))
