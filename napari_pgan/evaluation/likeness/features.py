"""Interface of feature encoders, and downscaling of images to the size they accept."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from napari_pgan.errors import InputError


class FeatureEncoder(Protocol):
    """Maps images to features whose distances measure similarity."""

    @property
    def about(self) -> dict[str, object]:
        """Description for the report, as JSON values; ``"sentence"`` is for display."""
        ...

    def features(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) in [-1, 1] → float32 (N, D); features of an image do not depend on the others."""
        ...


def check_features(a: np.ndarray, b: np.ndarray) -> None:
    """Raise InputError unless the features are (N, D) and (N′, D)."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InputError(f"cannot compare features of shapes {a.shape} and {b.shape}; pass (N, D) of one encoder")


def factor_below(shape: tuple[int, ...], largest: int) -> int:
    """Return the power of two that reduces the longer side of (Y, X) to at most `largest` pixels.

    The factor is smaller if a side cannot be divided further.
    """
    factor = 1
    while max(shape) // factor > largest and all(n % (2 * factor) == 0 for n in shape):
        factor *= 2
    return factor


def shrink(images: np.ndarray, factor: int, chunk: int = 256) -> np.ndarray:
    """Average boxes of factor × factor pixels: (N, M, Y, X) → float32 (N, M, Y / factor, X / factor).

    Images are processed in chunks to limit memory.
    """
    if factor == 1:
        return images.astype(np.float32, copy=False)
    n, channels, height, width = images.shape
    small = np.empty((n, channels, height // factor, width // factor), np.float32)
    for start in range(0, n, chunk):
        part = images[start : start + chunk]
        boxes = part.reshape(len(part), channels, height // factor, factor, width // factor, factor)
        small[start : start + chunk] = boxes.mean(axis=(3, 5), dtype=np.float32)
    return small
