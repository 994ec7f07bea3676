"""Means of the losses over the steps of a row of ``metrics.jsonl``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RunningMeans:
    """Sums of the losses since the last row, on the device, so that `add` does not wait for it.

    They are part of a checkpoint, so that a row is the same after a resume.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add the losses of a step."""
        self.count += 1
        self._sums = {k: v + self._sums[k] if k in self._sums else v.clone() for k, v in losses.items()}

    def take(self) -> dict[str, float]:
        """Return the rounded means and start the next row. Waits for the device."""
        means = {k: round(v.item() / self.count, 5) for k, v in self._sums.items()}
        self.count, self._sums = 0, {}
        return means

    def state(self) -> dict[str, Any]:
        """Return the exact state as JSON."""
        return {"count": self.count, "sums": {k: v.item() for k, v in self._sums.items()}}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state` returned."""
        self.count = state["count"]
        self._sums = {k: torch.tensor(v, device=device) for k, v in state["sums"].items()}
