"""What a search needs to know of what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from napari_pgan.model.encoding import Encoding

Loss = Callable[[torch.Tensor], torch.Tensor]  # channels (N, C, y, x) → (N,)


class Target(Protocol):
    """Something that is asked of a segmentation, at any size."""

    def objective(self, encoding: Encoding, factor: int = 1) -> Loss:
        """How far channels are from it, differentiable, for images that are smaller by a factor."""
        ...

    def similarity(self, shares: torch.Tensor, factor: int) -> torch.Tensor:
        """How near label shares (N, K, y, x) uint8, 255 for all of a pixel, come to it: (N,), larger is nearer."""
        ...

    def score(self, labels: np.ndarray) -> np.ndarray:
        """How well label maps (N, Y, X) at full size meet it: (N,), 1 is best."""
        ...
