"""Random numbers as a function of where the training stands, so that there is no state to save."""

from __future__ import annotations

import hashlib

import torch


def generator_for(seed: int, purpose: str, position: int) -> torch.Generator:
    """A generator of its own for every seed, purpose and position (images seen, or an epoch)."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{position}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
