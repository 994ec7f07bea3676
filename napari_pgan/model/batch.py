"""Batches of generated images and their inputs."""

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
        (N, …) uint8, in the label values of the card; 0 is background.
    probabilities
        (N, K, …) float32 in [0, 1], probability of each label.
    latents
        (N, L) float32.
    conditions
        One mapping for all images; empty without conditions.
    grid
        Position of the pixels.
    truncation
        Truncation of the images.
    offsets
        (N, W, …) float32 for each refined stage, added to its features; empty without refinement.
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
        """(N,) bool: whether the image has offsets; without them its latent gives another image."""
        return refined_rows(self.offsets, len(self))

    def part(self, rows: slice) -> Batch:
        """Return the batch of the selected images."""
        names = ("images", "labels", "probabilities", "latents")
        some = {name: getattr(self, name)[rows] for name in names}
        return replace(self, **some, offsets=tuple(offset[rows] for offset in self.offsets))


def refined_rows(offsets: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Return which of `count` images have nonzero offsets (N, W, …): (N,) bool."""
    rows = np.zeros(count, bool)
    for offset in offsets:
        rows |= offset.reshape(count, -1).any(axis=1)
    return rows
