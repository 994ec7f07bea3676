"""Small stores with known content."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.store import StoreWriter, create_store

CHANNELS = Channels(("t1", "flair"), (Label(1, "core", "#4daf4a"), Label(4, "rim", "#e41a1c")))


def new_store(address: str | Path, size: int = 16) -> StoreWriter:
    """Create a store without subjects."""
    return create_store(
        address,
        name="tests",
        channels=CHANNELS,
        grid=Grid((size, size), (3.0, 3.0), "PL", 5.0),
        intensity={m: {"-1": "air", "+1": "the brightest"} for m in CHANNELS.modalities},
    )


def content(seed: int, depth: int = 6, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels of a subject."""
    random = np.random.default_rng(seed)
    images = random.uniform(-1, 1, (2, depth, size, size)).astype(np.float16)
    return images, random.choice(np.array([0, 1, 4], np.uint8), (depth, size, size))


def add(writer: StoreWriter, key: str, seed: int, slices: tuple[int, ...] = (1, 2, 4)) -> None:
    """Write a subject."""
    images, labels = content(seed, size=writer.grid.shape[0])
    writer.add_subject(key, images, labels, spacing=(5.0, 3.0, 3.0), slices=slices, brain_slices=(1, 5))
