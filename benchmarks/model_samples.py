"""Samples of a run's model, and images with one-hot labels, shared by the benchmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_pgan import load_model
from napari_pgan.evaluation.eval_data import ArrayAllocator, Samples, draw_samples
from napari_pgan.store import Slices
from napari_pgan.training.run_folder import Run

FIRST_SEED = 10_000  # away from the seeds of snapshots


def samples_of(name: str, count: int, train: Slices) -> Samples:
    """Samples of a run folder's newest model or of a model file; a conditioned model gets the positions of `train`."""
    model = load_model(Run(name).model if Path(name).is_dir() else Path(name))
    return draw_samples(model, count, FIRST_SEED, ArrayAllocator(), train.position if model.card.conditions else None)


def with_labels(images: np.ndarray, labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Images (N, M, Y, X) and label maps (N, Y, X) as channels (N, M + K, Y, X), each label -1 or 1."""
    onehot = 2 * (labels[:, None] == values[None, :, None, None]).astype(np.float32) - 1
    return np.concatenate([images, onehot], axis=1)
