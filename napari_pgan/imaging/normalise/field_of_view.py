"""Square fields of view around the head, sampled by area averaging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MARGIN = 4.0  # mm around the head
STEP = 16.0  # mm; fields of view are multiples of it, so that common sizes give round spacings


@dataclass(frozen=True)
class Extent:
    """Bounding box of a head.

    Parameters
    ----------
    bounds
        First and one past the last index per axis, in array order.
    spacing
        Millimetres, in array order.
    """

    bounds: tuple[tuple[int, int], ...]
    spacing: tuple[float, ...]

    @property
    def in_plane(self) -> float:
        """Length of the longer side in the slice plane, in mm."""
        return max((high - low) * step for (low, high), step in zip(self.bounds[1:], self.spacing[1:], strict=True))


def head_extent(mask: np.ndarray, spacing: tuple[float, ...]) -> Extent:
    """Return the bounding box of a head.

    A plane counts if it holds at least 0.2 % as many voxels as the fullest plane along its axis, so that a stray voxel
    does not enlarge the box. `mask` is bool (z, y, x) and not empty, `spacing` in mm and array order.
    """
    by_slice = mask.sum(axis=0, dtype=np.int32)
    counts = (mask.sum(axis=(1, 2)), by_slice.sum(axis=1), by_slice.sum(axis=0))
    bounds = []
    for count in counts:
        planes = np.flatnonzero(count >= max(1, 0.002 * count.max()))
        bounds.append((int(planes[0]), int(planes[-1]) + 1))
    return Extent(tuple(bounds), spacing)


def choose_field_of_view(largest: float) -> float:
    """Return the side in mm of a square for a head of `largest` mm with a margin of 4 mm, rounded up to 16 mm."""
    return STEP * math.ceil((largest + 2 * MARGIN) / STEP - 1e-6)


def crop_start(low: int, high: int, spacing: float, field_of_view: float) -> float:
    """Return the first voxel of a field of view centred on the indices [low, high).

    It is a whole number, so that a field of view of whole voxels is an exact crop.
    """
    return float(round((low + high) / 2 - field_of_view / spacing / 2))


def pixel_weights(voxels: int, start: float, length: float, pixels: int) -> np.ndarray:
    """Return the weights that resample `voxels` along an axis to `pixels`: float32 (pixels, voxels).

    A pixel at least as large as a voxel is the mean over its area, which avoids aliasing; a smaller one is interpolated
    linearly. Outside the volume weights are missing, so that rows sum to less than 1. The field of view begins at
    `start` and has a `length`, both in voxels.
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
    """Resample an image (z, y, x) with `pixel_weights`: float32 (z, rows, columns) or (slices, rows, columns).

    There are weights of rows and columns, or of slices, rows and columns. Outside the volume is `background`.
    """
    *depth, rows, columns = weights
    y, x = (np.flatnonzero(axis.any(axis=0)) for axis in (rows, columns))
    if not y.size or not x.size:
        return np.full((len(depth[0] if depth else volume), len(rows), len(columns)), background, np.float32)
    # missing weights count as 0, so subtract the background first
    box = np.subtract(volume[:, y[0] : y[-1] + 1, x[0] : x[-1] + 1], np.float32(background), dtype=np.float32)
    # two products over the whole volume, since many small ones per slice are slower with threads
    box = box.reshape(-1, box.shape[2]) @ columns[:, x[0] : x[-1] + 1].T  # (z * y, columns)
    box = box.reshape(len(volume), -1, len(columns)).swapaxes(1, 2)  # (z, columns, y)
    box = box.reshape(len(volume) * len(columns), -1) @ rows[:, y[0] : y[-1] + 1].T
    averaged = np.ascontiguousarray(box.reshape(len(volume), len(columns), len(rows)).swapaxes(1, 2))
    if depth:
        averaged = np.asarray(np.tensordot(depth[0], averaged, axes=1))
    averaged += np.float32(background)
    return averaged


def area_votes(labels: np.ndarray, values: Sequence[int] | np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Resample a label map with the same weights in two votes: uint8.

    A pixel is lesion if all labels together cover at least half of it; it then gets the label that covers most of it.
    So the lesion as a whole keeps its size, and a thin rim competes with other labels only, not with background. On a
    tie the later label in `values` wins; enhancing tumour is last.
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
        best[better], winner[better] = share[better], value
    result[within] = np.where(total >= 0.5 - 1e-5, winner, 0)
    return result
