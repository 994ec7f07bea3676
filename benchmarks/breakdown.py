"""Time of a training step by kind of operation."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

CONVOLUTIONS, PRODUCTS, ELEMENTS = "convolutions", "matrix products", "element by element"
COPIES, OPTIMIZER, DATA, REST = "copies and casts", "optimisers and mean", "images", "Python and autograd"
KINDS = (CONVOLUTIONS, PRODUCTS, ELEMENTS, COPIES, OPTIMIZER, DATA, REST)

_NAMES = {
    PRODUCTS: ("aten::mm", "aten::addmm", "aten::bmm", "aten::matmul", "aten::linear"),
    OPTIMIZER: ("aten::_fused_adam", "aten::_foreach_lerp", "Optimizer.", "aten::_foreach_addc", "aten::_foreach_mul"),
    COPIES: (
        "aten::copy_", "aten::_to_copy", "aten::to", "aten::clone", "aten::contiguous", "aten::cat", "aten::fill_",
        "aten::zero", "aten::empty", "aten::new_", "aten::flip", "aten::index", "aten::constant_pad", "aten::resize",
        "aten::slice", "aten::narrow", "aten::as_strided", "aten::expand", "aten::repeat", "aten::gather",
        "aten::select", "aten::transpose", "aten::permute", "aten::view", "aten::reshape", "aten::_reshape",
    ),
}  # fmt: skip


def kind_of(name: str) -> str:
    """The kind of an operation, from its name in the profiler."""
    if not name.startswith("aten::"):
        return OPTIMIZER if name.startswith("Optimizer.") else REST
    if "conv" in name:
        return CONVOLUTIONS
    for kind in (PRODUCTS, OPTIMIZER, COPIES):
        if name.startswith(_NAMES[kind]):
            return kind
    return ELEMENTS


def break_down(step: Callable[[], object], steps: int = 2) -> dict[str, float]:
    """Seconds per step by kind of operation, on a CPU; their sum is the step's time under the profiler.

    All operations within ``record_function("images")`` count as images.
    """
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        total = time.perf_counter() - start
    seconds: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        if not event.is_async and event.name != "images":
            kind = DATA if _within_images(event) else kind_of(event.name)
            seconds[kind] += event.self_cpu_time_total / 1e6
    seconds[REST] += max(0.0, total - sum(seconds.values()))
    return {kind: seconds[kind] / steps for kind in KINDS}


def _within_images(event: torch.autograd.profiler_util.FunctionEvent) -> bool:
    while event.cpu_parent is not None:
        event = event.cpu_parent
        if event.name == "images":
            return True
    return False
