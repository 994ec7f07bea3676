"""Where torch computes."""

from __future__ import annotations

import torch

from napari_pgan.errors import InputError


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
