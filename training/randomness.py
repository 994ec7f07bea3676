"""Random numbers as a function of the position in the training, so that there is no state to save."""

from __future__ import annotations

import hashlib

import torch


def generator_for(seed: int, purpose: str, position: int) -> torch.Generator:
    """Return a generator of its own for each seed, purpose and position (images seen, or an epoch)."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{position}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
