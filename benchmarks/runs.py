"""Samples of the model of a run, the same for every benchmark that looks at images."""

from __future__ import annotations

from pathlib import Path

from napari_pgan import load_model
from napari_pgan.model import Batch
from napari_pgan.training.run import Run

FIRST_SEED = 10_000  # none that people look at


def samples_of(name: str, count: int) -> Batch:
    """Of a run folder's newest model, or of a model file."""
    path = Run(name).model if Path(name).is_dir() else Path(name)
    return load_model(path).sample(seeds=range(FIRST_SEED, FIRST_SEED + count), batch_size=16)
