"""When a device's memory does not suffice."""

from __future__ import annotations

import torch

from napari_pgan.errors import InputError
from napari_pgan.training.schedule import Phase


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that no memory is left; CPU and MPS have no class for it, only words."""
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in said or "can't allocate memory" in said


def does_not_fit(phase: Phase, device: torch.device) -> InputError:
    """What to tell when not even single images go through."""
    return InputError(
        f"size {phase.size} does not fit into the memory of {device}; give a smaller --size, narrower networks "
        f"(--set sizes.{phase.size}.width=…), or another --device"
    )
