"""Slices of many subjects as two arrays, at the stored size or below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slices:
    """Slices of a split with their labels.

    Parameters
    ----------
    images
        float32 (N, C, Y, X) in [-1, 1].
    labels
        float32 (N, K, Y, X) in [0, 1]: the share of the pixel that has the label, one channel a declared label;
        background has none.
    subject
        int64 (N,): index into `keys`.
    position
        float32 (N,): where between the first (0) and the last slice (1) with brain.
    keys
        Subjects in the order of their indices.
    """

    images: np.ndarray
    labels: np.ndarray
    subject: np.ndarray
    position: np.ndarray
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def sizes_below(shape: tuple[int, int]) -> list[int]:
    """Sizes (pixels of the last axis) that a store of `shape` serves: halves down to 4 pixels, largest first."""
    sizes, factor = [], 1
    while all(n % factor == 0 and n // factor >= 4 for n in shape):
        sizes.append(shape[-1] // factor)
        factor *= 2
    return sizes


def box_average(images: np.ndarray, factor: int) -> np.ndarray:
    """Mean over boxes of factor × factor pixels, in float32: (…, Y, X) → (…, Y / factor, X / factor)."""
    images = images.astype(np.float32, copy=False)
    if factor == 1:
        return images
    *rest, height, width = images.shape
    boxes = images.reshape(*rest, height // factor, factor, width // factor, factor)
    return boxes.mean(axis=(-3, -1), dtype=np.float32)


def label_shares(labels: np.ndarray, values: np.ndarray, factor: int) -> np.ndarray:
    """Share of each box that has each of the label values: (N, Y, X) → float32 (N, K, Y / factor, X / factor)."""
    height, width = labels.shape[-2] // factor, labels.shape[-1] // factor
    shares = np.empty((len(labels), len(values), height, width), np.float32)
    for k, value in enumerate(values):
        shares[:, k] = box_average(labels == value, factor)
    return shares


def label_map(fractions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Label maps (…, Y, X) uint8 of shares (…, K, Y, X): the label that fills more than half of a pixel, or none."""
    if not fractions.shape[-3]:
        return np.zeros((*fractions.shape[:-3], *fractions.shape[-2:]), np.uint8)
    best = np.asarray(values, np.uint8)[fractions.argmax(axis=-3)]
    return np.where(fractions.max(axis=-3) > 0.5, best, np.uint8(0))
