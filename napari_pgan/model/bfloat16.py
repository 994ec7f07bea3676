"""Devices on which bfloat16 is faster."""

from __future__ import annotations

import torch

_CPU_BF16 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def has_bf16(device: torch.device | str) -> bool:
    """Return whether a device has bfloat16 instructions; without them it is emulated, slower than float32."""
    device = torch.device(device)
    if device.type == "cpu":
        return any(getattr(torch.cpu, name, lambda: False)() for name in _CPU_BF16)
    try:
        x = torch.ones(1, 8, 8, 8, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            torch.nn.functional.conv2d(x, torch.ones(8, 8, 3, 3, device=device)).sum().item()
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return False
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
