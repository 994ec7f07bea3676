"""Generated images with all that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_pgan.schema import Grid


@dataclass(frozen=True)
class Batch:
    """Generated images with their segmentation, as NumPy arrays.

    Parameters
    ----------
    images
        (N, M, …) float32 in [-1, 1], the modalities in the card's order.
    labels
        (N, …) uint8, in the label values that the card declares; 0 is background.
    probabilities
        (N, K, …) float32 in [0, 1], how much of each label there is.
    latents
        (N, L) float32.
    conditions
        One mapping for all images; empty without conditions.
    grid
        Where the pixels lie.
    truncation
        What the images were made with.
    offsets
        (N, W, …) float32 for each of the first stages: what was added to its features; none where nothing was.
    """

    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    latents: np.ndarray
    conditions: Mapping[str, str | float]
    grid: Grid
    truncation: float = 1.0
    offsets: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def refined(self) -> np.ndarray:
        """(N,) bool: which images have offsets, so that their latents alone make others."""
        return refined_rows(self.offsets, len(self))

    def part(self, rows: slice) -> Batch:
        """Some of the images with all that belongs to them."""
        names = ("images", "labels", "probabilities", "latents")
        some = {name: getattr(self, name)[rows] for name in names}
        return replace(self, **some, offsets=tuple(offset[rows] for offset in self.offsets))


def refined_rows(offsets: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Which of `count` images have offsets (N, W, …) other than 0: (N,) bool."""
    rows = np.zeros(count, bool)
    for offset in offsets:
        rows |= offset.reshape(count, -1).any(axis=1)
    return rows
