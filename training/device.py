"""The device of a training, and what it supports."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch import Tensor

from napari_pgan.errors import InputError
from napari_pgan.model.bfloat16 import has_bf16


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU if there is one.

    Raises
    ------
    InputError
        This machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(
            f"--device {name!r}: this machine has no such device; give --device cpu or --device auto"
        ) from None
    return device


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, without waiting for computations there."""
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


@dataclass(frozen=True)
class Features:
    """What a device supports."""

    bf16: bool  # whether networks compute in bfloat16: if the recipe wants it and the device supports it
    channels_last: bool  # whether the channels of an image are innermost in memory
    fused_adam: bool  # whether Adam updates all parameters in one kernel

    @classmethod
    def of(cls, device: torch.device, precision: str) -> Features:
        """Test a device, for the precision of a recipe."""
        return cls(
            bf16=precision == "bf16" and has_bf16(device),
            channels_last=device.type in ("cpu", "cuda"),
            fused_adam=_has_fused_adam(device),
        )


def _has_fused_adam(device: torch.device) -> bool:
    parameter = torch.nn.Parameter(torch.zeros(1, device=device))
    parameter.grad = torch.zeros_like(parameter)
    try:
        torch.optim.Adam([parameter], lr=1e-3, fused=True).step()
    except (RuntimeError, NotImplementedError):
        return False
    return True


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a device; on a CPU, at most what the process's control group leaves."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return min([psutil.virtual_memory().available, *_free_in_groups()])


def _free_in_groups() -> list[int]:
    """Return what Linux control groups (containers, batch queues) leave; empty without groups or limits."""
    free = []
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" means no limit
            free.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return free
