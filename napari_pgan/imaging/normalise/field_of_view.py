"""A square field of view around the head, and its pixels by area averaging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 4.0  # mm on every side of the head
STEP = 16.0  # mm; the chosen field of view is a multiple, so that common sizes give round spacings


@dataclass(frozen=True)
class Extent:
    """The box of a head in one volume.

    Parameters
    ----------
    bounds
        First and one past the last index for each axis, in array order.
    spacing
        Millimetres, in array order.
    """

    bounds: tuple[tuple[int, int], ...]
    spacing: tuple[float, ...]

    @property
    def in_plane(self) -> float:
        """Millimetres of the longer side in the slices' plane."""
        return max((high - low) * step for (low, high), step in zip(self.bounds[1:], self.spacing[1:], strict=True))


def head_extent(mask: np.ndarray, spacing: tuple[float, ...]) -> Extent:
    """The box around a head.

    A plane counts when it holds at least 0.2 % of what the fullest plane along that axis holds, so that a stray voxel
    does not widen the box.

    Parameters
    ----------
    mask
        bool (z, y, x), not empty.
    spacing
        Millimetres, in array order.
    """
    by_slice = mask.sum(axis=0, dtype=np.int32)
    counts = (mask.sum(axis=(1, 2)), by_slice.sum(axis=1), by_slice.sum(axis=0))
    bounds = []
    for count in counts:
        planes = np.flatnonzero(count >= max(1, 0.002 * count.max()))
        bounds.append((int(planes[0]), int(planes[-1]) + 1))
    return Extent(tuple(bounds), spacing)


def choose_field_of_view(largest: float) -> float:
    """Millimetres of the square that holds a head of `largest` mm with a margin of 4 mm, rounded up to 16 mm."""
    return STEP * math.ceil((largest + 2 * MARGIN) / STEP - 1e-6)


def crop_start(low: int, high: int, spacing: float, field_of_view: float) -> float:
    """Where a field of view centred on the indices [low, high) begins, in voxels; on a voxel's edge.

    Being on an edge makes a field of view that is a whole number of voxels an exact crop.
    """
    return float(round((low + high) / 2 - field_of_view / spacing / 2))


def pixel_weights(voxels: int, start: float, length: float, pixels: int) -> np.ndarray:
    """Weights that turn `voxels` along an axis into `pixels`: float32 (pixels, voxels).

    A pixel that is as large as a voxel or larger is the mean over its area (voxels count by their share in it), which
    is what keeps fine detail from aliasing; a smaller one is interpolated linearly. Where the field of view leaves the
    volume, weights are missing, so that a row sums to less than 1.

    Parameters
    ----------
    voxels
        Along the axis.
    start, length
        The field of view, in voxels.
    pixels
        Along the result.
    """
    step = length / pixels
    if step >= 1:
        edges = start + step * np.arange(pixels + 1)
        index = np.arange(voxels)
        overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
        return (np.clip(overlap, 0, None) / step).astype(np.float32)
    centres = start + step * (np.arange(pixels) + 0.5) - 0.5
    return np.clip(1 - np.abs(centres[:, None] - np.arange(voxels)), 0, None).astype(np.float32)


def area_averages(volume: np.ndarray, weights: Sequence[np.ndarray], background: float = 0.0) -> np.ndarray:
    """An image at the pixels of `pixel_weights`; float32 (z, rows, columns), or (slices, rows, columns).

    Parameters
    ----------
    volume
        (z, y, x).
    weights
        Of rows and columns, or of slices, rows and columns.
    background
        The value of what lies outside the volume.
    """
    *depth, rows, columns = weights
    y, x = (np.flatnonzero(axis.any(axis=0)) for axis in (rows, columns))
    if not y.size or not x.size:
        return np.full((len(depth[0] if depth else volume), len(rows), len(columns)), background, np.float32)
    # Missing weights count as 0, so the background is made 0 first.
    box = np.subtract(volume[:, y[0] : y[-1] + 1, x[0] : x[-1] + 1], np.float32(background), dtype=np.float32)
    # Two products of whole volumes: one a slice would be many small ones, which threads only slow down.
    box = box.reshape(-1, box.shape[2]) @ columns[:, x[0] : x[-1] + 1].T  # (z * y, columns)
    box = box.reshape(len(volume), -1, len(columns)).swapaxes(1, 2)  # (z, columns, y)
    box = box.reshape(len(volume) * len(columns), -1) @ rows[:, y[0] : y[-1] + 1].T
    averaged = np.ascontiguousarray(box.reshape(len(volume), len(columns), len(rows)).swapaxes(1, 2))
    if depth:
        averaged = np.asarray(np.tensordot(depth[0], averaged, axes=1))
    averaged += np.float32(background)
    return averaged


def area_votes(labels: np.ndarray, values: Sequence[int] | np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """A label map at the same pixels, in two votes: uint8.

    First a pixel is lesion when labels together cover half of it or more; then it gets the label that covers most of
    it. So the lesion as a whole keeps its size, and a thin rim has to outdo only its strongest neighbour and not
    background and all labels at once. On equal cover the later label in `values` wins: enhancing tumour stands last.
    """
    *depth, rows, columns = weights
    result = np.zeros((len(depth[0] if depth else labels), len(rows), len(columns)), np.uint8)
    z = np.flatnonzero(labels.any(axis=(1, 2)))
    if not z.size:
        return result
    inside = within = slice(z[0], z[-1] + 1)
    if depth:
        weights = (depth[0][:, inside], rows, columns)
        within = slice(None)
    best = np.zeros_like(result[within], np.float32)
    total = np.zeros_like(best)
    winner = np.zeros_like(result[within])
    for value in values:
        share = area_averages(labels[inside] == value, weights)
        total += share
        better = (share >= best) & (share > 0)
        best[better] = share[better]
        winner[better] = value
    result[within] = np.where(total >= 0.5 - 1e-5, winner, 0)
    return result
