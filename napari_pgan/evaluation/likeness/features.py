"""What turns images into features, and images into the size that it takes."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class FeatureEncoder(Protocol):
    """Images → features, whose distances say how alike images are."""

    @property
    def about(self) -> dict[str, object]:
        """What it is, for the report: JSON values; ``"sentence"`` says it in words."""
        ...

    def features(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) in [-1, 1] → float32 (N, D); an image's features do not depend on the others."""
        ...


def factor_below(shape: tuple[int, ...], largest: int) -> int:
    """By which power of two both sides (Y, X) are divided for the longer one to be at most `largest` pixels.

    Less where a side cannot be divided further.
    """
    factor = 1
    while max(shape) // factor > largest and all(n % (2 * factor) == 0 for n in shape):
        factor *= 2
    return factor


def shrink(images: np.ndarray, factor: int, chunk: int = 256) -> np.ndarray:
    """Mean over boxes of factor × factor pixels: (N, M, Y, X) → float32 (N, M, Y / factor, X / factor).

    Some images at once, so that beside the result little memory is taken.
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
