"""Slices of many subjects as arrays, at the stored size or smaller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slices:
    """Slices of several subjects with their label fractions.

    Parameters
    ----------
    images
        float32 (N, C, Y, X) in [-1, 1].
    labels
        float32 (N, K, Y, X) in [0, 1]: fraction of the pixel with the label; one channel per declared label, none for
        background.
    subject
        int64 (N,): index into `keys`.
    position
        float32 (N,): position between the first (0) and the last (1) slice with brain.
    keys
        Subject keys.
    """

    images: np.ndarray
    labels: np.ndarray
    subject: np.ndarray
    position: np.ndarray
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def sizes_below(shape: tuple[int, int]) -> list[int]:
    """Return the available sizes (pixels along the last axis): repeated halves down to 4 pixels, largest first."""
    sizes, factor = [], 1
    while all(n % factor == 0 and n // factor >= 4 for n in shape):
        sizes.append(shape[-1] // factor)
        factor *= 2
    return sizes


def box_average(images: np.ndarray, factor: int) -> np.ndarray:
    """Average boxes of factor × factor pixels in float32: (…, Y, X) → (…, Y / factor, X / factor)."""
    images = images.astype(np.float32, copy=False)
    if factor == 1:
        return images
    *rest, height, width = images.shape
    boxes = images.reshape(*rest, height // factor, factor, width // factor, factor)
    return boxes.mean(axis=(-3, -1), dtype=np.float32)


def label_shares(labels: np.ndarray, values: np.ndarray, factor: int) -> np.ndarray:
    """Return the fraction of each box with each label: (N, Y, X) → float32 (N, K, Y / factor, X / factor)."""
    height, width = labels.shape[-2] // factor, labels.shape[-1] // factor
    fractions = np.empty((len(labels), len(values), height, width), np.float32)
    for k, value in enumerate(values):
        fractions[:, k] = box_average(labels == value, factor)
    return fractions


def label_map(fractions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return label maps (…, Y, X) uint8 from fractions (…, K, Y, X): the label covering over half of a pixel, or 0."""
    if not fractions.shape[-3]:
        return np.zeros((*fractions.shape[:-3], *fractions.shape[-2:]), np.uint8)
    best = np.asarray(values, np.uint8)[fractions.argmax(axis=-3)]
    return np.where(fractions.max(axis=-3) > 0.5, best, np.uint8(0))
