"""The images of a walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from napari_pgan.latent.paths import Walk
from napari_pgan.model import Batch, Model


def sample_walk(
    model: Model,
    walk: Walk,
    *,
    stage: int | None = None,
    conditions: Mapping[str, str | float] | None = None,
    batch_size: int = 8,
) -> Iterator[Batch]:
    """Sample a walk's frames in order, as batches of up to `batch_size` frames that share a truncation."""
    start = 0
    while start < len(walk):
        same = walk.truncation[start : start + batch_size] == walk.truncation[start]
        stop = start + (int(np.argmin(same)) if not same.all() else len(same))
        yield model.sample(
            latents=walk.latents[start:stop],
            truncation=float(walk.truncation[start]),
            stage=stage,
            conditions=conditions,
            batch_size=batch_size,
        )
        start = stop
