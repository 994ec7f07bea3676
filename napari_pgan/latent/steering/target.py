"""Interface of the targets of a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from napari_pgan.model.label_encoding import Encoding

Loss = Callable[[torch.Tensor], torch.Tensor]  # channels (N, C, y, x) → (N,)


class Target(Protocol):
    """A target segmentation, at any image size."""

    def objective(self, encoding: Encoding, factor: int = 1) -> Loss:
        """Return a differentiable distance of channels, for images smaller by `factor`."""
        ...

    def similarity(self, shares: torch.Tensor, factor: int) -> torch.Tensor:
        """Return the similarity (N,) of label shares (N, K, y, x) uint8, 255 for a whole pixel."""
        ...

    def score(self, labels: np.ndarray) -> np.ndarray:
        """Return how well label maps (N, Y, X) at full size match, (N,); 1 is best."""
        ...
