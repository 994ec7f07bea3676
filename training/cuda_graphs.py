"""Replay the gradient computation of a step as one CUDA graph.

At small sizes a step is a few hundred tiny kernels, and the GPU waits for Python to launch them. A graph is captured
once for each kind of update (stage, fading or not, with penalty or not) and replayed on new tensors. Optimisers and the
EMA are not captured: they take a launch or two each and need values of the host (learning rates).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_EAGER = 3  # updates before the capture, in which libraries choose their algorithms
Losses = dict[str, Tensor]


class CudaGraphs:
    """The captured updates of a trainer. On other devices than CUDA, updates run directly."""

    def __init__(self, device: torch.device) -> None:
        self.active = device.type == "cuda"
        self._counts: Counter[tuple[Any, ...]] = Counter()
        self._captured: dict[tuple[Any, ...], Callable[[Any, float | Tensor], Losses]] = {}
        self._stage = -1

    def forget(self) -> None:
        """Drop all captured graphs and their memory."""
        self._captured.clear()
        self._counts.clear()

    def run(
        self, update: Callable[..., Losses], draw: Any, stage: int, alpha: float | Tensor, penalized: bool,
        parameters: list[torch.nn.Parameter],
    ) -> Losses:  # fmt: skip
        """Run an update: it writes gradients into `parameters` and returns losses."""
        if not self.active:
            return update(draw, stage, alpha, penalized)
        if stage != self._stage:  # an earlier stage does not return
            self.forget()
            self._stage = stage
        key = (update.__name__, isinstance(alpha, Tensor), penalized, len(draw.real))
        self._counts[key] += 1
        if self._counts[key] <= _EAGER:
            return update(draw, stage, alpha, penalized)
        if key not in self._captured:
            self._captured[key] = _capture(update, draw, stage, alpha, penalized, parameters)
        return self._captured[key](draw, alpha)


def _capture(
    update: Callable[..., Losses], draw: Any, stage: int, alpha: float | Tensor, penalized: bool,
    parameters: list[torch.nn.Parameter],
) -> Callable[[Any, float | Tensor], Losses]:  # fmt: skip
    """Capture an update; returns a function that replays it on other inputs."""
    fixed_draw = type(draw)(**{name: x.clone() for name, x in draw.tensors().items()})
    fixed_alpha = alpha.clone() if isinstance(alpha, Tensor) else alpha
    for parameter in parameters:
        parameter.grad = None  # so that the graph allocates the gradients in its own memory
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = update(fixed_draw, stage, fixed_alpha, penalized)
    gradients = [parameter.grad for parameter in parameters]

    def replay(draw: Any, alpha: float | Tensor) -> Losses:
        torch._foreach_copy_(list(fixed_draw.tensors().values()), list(draw.tensors().values()))
        if isinstance(fixed_alpha, Tensor):
            fixed_alpha.copy_(torch.as_tensor(alpha))
        graph.replay()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return {name: value.detach().clone() for name, value in losses.items()}

    return replay
