"""Two volumes in one picture: a chequerboard, or one wiped over the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BRIGHTEST = 99.5


def grey(array: np.ndarray, background: float) -> np.ndarray:
    """A volume in 256 shades, black at its background and white where its brightest half percent begins."""
    inside = array[array > background]
    high = float(np.percentile(inside[:: max(1, inside.size // 200_000)], _BRIGHTEST)) if inside.size else background
    shades = (array.astype(np.float32) - np.float32(background)) * np.float32(255 / max(high - background, 1e-6))
    return np.clip(shades, 0, 255, out=shades).astype(np.uint8)


def chequered(a: np.ndarray, b: np.ndarray, spacing: Sequence[float], field: float) -> np.ndarray:
    """`a` and `b` in turn, in cubes of `field` millimetres, so that edges run on where both agree.

    Parameters
    ----------
    a, b
        Of one shape (z, y, x).
    spacing
        Millimetres between voxels.
    """
    board: np.ndarray = np.zeros((1, 1, 1), int)
    for axis, (n, step) in enumerate(zip(a.shape, spacing, strict=True)):
        fields = np.floor(((np.arange(n) - (n - 1) / 2) * step + field / 2) / field).astype(int)
        board = board + fields.reshape([-1 if i == axis else 1 for i in range(a.ndim)])
    return np.where(board % 2 == 0, a, b)


def wiped(a: np.ndarray, b: np.ndarray, share: float, axis: int) -> np.ndarray:
    """`a` up to a share of the way along an axis, and `b` beyond."""
    made = b.copy()
    part = [slice(None)] * a.ndim
    part[axis] = slice(0, round(share * a.shape[axis]))
    made[tuple(part)] = a[tuple(part)]
    return made
