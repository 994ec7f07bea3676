"""Running out of memory: how it is recognised, and what is done then.

Before a phase, `memory.micro_batches` estimates into how many parts its batches must be split. If memory runs out all
the same, the trainer repeats the update in more parts, or the session returns to a checkpoint and does so.
"""

from __future__ import annotations

import torch

from napari_pgan.errors import InputError
from napari_pgan.training.schedule import Phase


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error means that memory ran out. CPU and MPS have no exception class for it."""
    message = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in message or "can't allocate memory" in message


def split_further(batch: int, parts: int) -> int | None:
    """Return the next larger number of parts of a batch; None if it cannot be split further."""
    return None if batch % (2 * parts) else 2 * parts


def free_cache(device: torch.device) -> None:
    """Return the memory that torch holds in reserve to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def does_not_fit(phase: Phase, device: torch.device) -> InputError:
    """The error if not even the smallest part of a batch fits."""
    return InputError(
        f"size {phase.size} does not fit into the memory of {device}; give a smaller --size, narrower networks "
        f"(--set sizes.{phase.size}.width=…), or another --device"
    )
