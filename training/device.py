"""Where torch computes, and what it can do there."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from napari_pgan.errors import InputError
from napari_pgan.model.precision import has_bf16


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes a GPU where there is one.

    Raises
    ------
    InputError
        It is not here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"the device {name!r} is not here; give --device cpu, or auto") from None
    return device


def sent(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device, without waiting for what is computed there."""
    if device.type == "cuda" and x.device.type == "cpu":
        return x.pin_memory().to(device, non_blocking=True)
    return x.to(device)


@dataclass(frozen=True)
class Features:
    """What a device can do, found out by trying.

    Parameters
    ----------
    bf16
        Whether networks compute in bfloat16 (where the recipe asks for it and the device has it).
    channels_last
        Whether images are laid out with their channels innermost.
    fused_adam
        Whether Adam updates all parameters in one kernel.
    """

    bf16: bool
    channels_last: bool
    fused_adam: bool

    @classmethod
    def of(cls, device: torch.device, precision: str) -> Features:
        """The features of a device, under a recipe's precision."""
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
    """What a process may still take there: of the machine, or of the share that its control group leaves it."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return min([psutil.virtual_memory().available, *_left_by_group()])


def _left_by_group() -> list[int]:
    """What Linux control groups (containers, batch queues) leave; empty where there are none, or no limit."""
    left = []
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            left.append(int(Path(limit).read_text()) - int(Path(used).read_text()))
    return left
