"""Floating-point operations and memory traffic of a call, and the machine's rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from stopwatch import interleave
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class Work:
    """One entry per operation of a call: floating-point operations, bytes read and written, number type."""

    entries: tuple[tuple[float, float, str], ...]

    @property
    def operations(self) -> float:
        """Floating-point operations; a multiply-add counts as two, element-wise operations are not counted."""
        return sum(entry[0] for entry in self.entries)

    @property
    def moved(self) -> float:
        """Bytes, if every operation reads its inputs once and writes its outputs once."""
        return sum(entry[1] for entry in self.entries)

    def roofline_seconds(self, reached: dict[str, float]) -> float:
        """The roofline: the sum over operations of the longer of arithmetic time and memory time."""
        return sum(
            max(operations / reached.get(f"matrix {kind}", math.inf), moved / reached["bytes"])
            for operations, moved, kind in self.entries
        )


class _Counter(TorchDispatchMode):
    """Counts below autograd, so gradients too; torch's FlopCounterMode cannot follow a gradient penalty."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[float, float, str]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        operations = 0.0 if formula is None else float(formula(*args, **(kwargs or {}), out_val=out))
        outputs = _tensors(out)
        if outputs and not _is_view(func):
            moved = sum(x.numel() * x.element_size() for x in (*_tensors(args), *outputs))
            self.entries.append((operations, moved, str(outputs[0].dtype).removeprefix("torch.")))
        return out


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]


def _is_view(func: Any) -> bool:
    """Whether the result shares the input's memory unchanged."""
    return any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)


def count(step: Callable[[], object]) -> Work:
    """The operations of a call, including gradients and gradients of gradients."""
    with _Counter() as counter:
        step()
    return Work(tuple(counter.entries))


def rates(device: torch.device, dtypes: tuple[torch.dtype, ...], rounds: int = 9, side: int = 1024) -> dict[str, float]:
    """The machine's rates in operations and bytes per second, under ideal conditions.

    Parameters
    ----------
    device, dtypes
        The device and the precisions.
    rounds
        Number of measurements, whose median is returned.
    side
        Side of the square matrices; the convolution has as many operations.

    Returns
    -------
    dict
        ``"matrix bfloat16"`` and so on: a product of square matrices; ``"convolution …"``: 3×3, 128 maps to 128 on
        images of 32²; ``"bytes"``: a copy that is larger than the caches.
    """
    cases: dict[str, Callable[[], object]] = {}
    work: dict[str, float] = {}
    for dtype in dtypes:
        name = str(dtype).removeprefix("torch.")
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        maps, size = min(128, side), min(32, side)
        images = max(1, round(side**3 / (9 * maps**2 * size**2)))
        x = torch.randn(images, maps, size, size, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
        w = torch.randn(maps, maps, 3, 3, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
        cases[f"matrix {name}"] = lambda a=a, b=b: a @ b
        cases[f"convolution {name}"] = lambda x=x, w=w: F.conv2d(x, w, padding=1)
        work[f"matrix {name}"], work[f"convolution {name}"] = 2.0 * side**3, 18.0 * images * maps**2 * size**2
    large, copy = (torch.rand(64 * side**2, device=device) for _ in range(2))
    cases["bytes"], work["bytes"] = lambda: copy.copy_(large), 2.0 * 4 * large.numel()
    with torch.inference_mode():
        times = interleave(cases, rounds, device, warm=2)
    return {name: work[name] / times[name].median for name in cases}
