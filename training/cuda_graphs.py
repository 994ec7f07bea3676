"""Replaying the work of a step on a GPU as one CUDA graph, where launching it operation by operation would take longer.

Small sizes are a few hundred tiny kernels a step: the GPU waits for Python. A graph is captured once for every kind of
update (stage, fading or not, with penalty or not) and replayed on new tensors. Optimisers and the running mean stay
outside: they are a launch or two each, and need numbers of the host (learning rates).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_EAGER = 3  # updates that are done as they come, before one is captured: libraries choose their algorithms in them


class Graphs:
    """The captured updates of a trainer; elsewhere than on CUDA, updates run as they come.

    Parameters
    ----------
    device
        Of the trainer.
    """

    def __init__(self, device: torch.device) -> None:
        self.active = device.type == "cuda"
        self._counts: dict[tuple[Any, ...], int] = {}
        self._captured: dict[tuple[Any, ...], _Captured] = {}
        self._stage = -1

    def forget(self) -> None:
        """Drop what was captured, and its memory."""
        self._captured.clear()
        self._counts.clear()

    def run(
        self,
        update: Callable[..., dict[str, torch.Tensor]],
        draw: Any,
        stage: int,
        alpha: float | torch.Tensor,
        penalized: bool,
        parameters: list[torch.nn.Parameter],
    ) -> dict[str, torch.Tensor]:
        """Do an update: gradients into `parameters`, losses returned."""
        if not self.active:
            return update(draw, stage, alpha, penalized)
        if stage != self._stage:  # an earlier size does not come back
            self.forget()
            self._stage = stage
        fading = isinstance(alpha, torch.Tensor)
        key = (update.__name__, fading, penalized, len(draw.real))
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] <= _EAGER:
            return update(draw, stage, alpha, penalized)
        if key not in self._captured:
            self._captured[key] = _Captured(update, draw, stage, alpha, penalized, parameters)
        return self._captured[key].replay(draw, alpha)


class _Captured:
    def __init__(
        self,
        update: Callable[..., dict[str, torch.Tensor]],
        draw: Any,
        stage: int,
        alpha: float | torch.Tensor,
        penalized: bool,
        parameters: list[torch.nn.Parameter],
    ) -> None:
        self._draw = type(draw)(**{name: x.clone() for name, x in draw.tensors().items()})
        self._alpha = alpha.clone() if isinstance(alpha, torch.Tensor) else alpha
        self._parameters = parameters
        for parameter in parameters:
            parameter.grad = None  # so that gradients are made within the graph's own memory
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._said = update(self._draw, stage, self._alpha, penalized)
        self._gradients = [parameter.grad for parameter in parameters]

    def replay(self, draw: Any, alpha: float | torch.Tensor) -> dict[str, torch.Tensor]:
        fixed = self._draw.tensors()
        names = list(fixed)
        torch._foreach_copy_([fixed[name] for name in names], [draw.tensors()[name] for name in names])
        if isinstance(self._alpha, torch.Tensor):
            self._alpha.copy_(torch.as_tensor(alpha))
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return {name: value.detach().clone() for name, value in self._said.items()}
