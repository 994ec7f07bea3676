"""Samples of the model of a run, the same for every benchmark that looks at images."""

from __future__ import annotations

from pathlib import Path

from napari_pgan import load_model
from napari_pgan.evaluation.material import Samples, Shelf, draw_samples
from napari_pgan.store import Slices
from napari_pgan.training.run import Run

FIRST_SEED = 10_000  # none that people look at


def samples_of(name: str, count: int, learnt: Slices) -> Samples:
    """Of a run folder's newest model, or of a model file; one that is told positions gets those of `learnt`."""
    model = load_model(Run(name).model if Path(name).is_dir() else Path(name))
    return draw_samples(model, count, FIRST_SEED, Shelf(), learnt.position if model.card.conditions else None)
