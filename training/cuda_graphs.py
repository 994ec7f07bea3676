"""Replay the gradient computation of a step as one CUDA graph.

At small sizes a step is a few hundred tiny kernels, and the GPU waits for Python to launch them. A graph is captured
once for each kind of update (stage, fading or not, with penalty or not) and replayed on new tensors. Optimisers and the
EMA are not captured: they take a launch or two each and need values of the host (learning rates).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_EAGER = 3  # updates before the capture, in which libraries choose their algorithms


class CudaGraphs:
    """The captured updates of a trainer. On other devices than CUDA, updates run directly.

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
        """Drop all captured graphs and their memory."""
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
        """Run an update: it writes gradients into `parameters` and returns losses."""
        if not self.active:
            return update(draw, stage, alpha, penalized)
        if stage != self._stage:  # an earlier stage does not return
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
            parameter.grad = None  # so that the graph allocates the gradients in its own memory
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._losses = update(self._draw, stage, self._alpha, penalized)
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
        return {name: value.detach().clone() for name, value in self._losses.items()}
