"""Means of the losses over the steps of a row of ``metrics.jsonl``, without waiting for the device."""

from __future__ import annotations

from typing import Any

import torch


class RunningMeans:
    """Sums of losses since the last row, which a checkpoint holds, so that a row is the same after a resume."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, torch.Tensor] = {}

    def add(self, losses: dict[str, torch.Tensor]) -> None:
        """Count in the losses of a step."""
        self.count += 1
        self._sums = {k: v + self._sums[k] if k in self._sums else v.clone() for k, v in losses.items()}

    def take(self) -> dict[str, float]:
        """The means, rounded; the next row begins. Waits for the device."""
        means = {k: round(v.item() / self.count, 5) for k, v in self._sums.items()}
        self.count, self._sums = 0, {}
        return means

    def state(self) -> dict[str, Any]:
        """As JSON, exactly."""
        return {"count": self.count, "sums": {k: v.item() for k, v in self._sums.items()}}

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """Take back what `state` gave."""
        self.count = state["count"]
        self._sums = {k: torch.tensor(v, device=device) for k, v in state["sums"].items()}
