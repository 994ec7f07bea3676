"""Generate the images of a walk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from napari_pgan.latent.paths import Walk
from napari_pgan.model import Batch, Model


def chunks(walk: Walk, size: int = 8) -> Iterator[slice]:
    """Yield slices of a walk, in order, of up to `size` frames with equal truncation."""
    start = 0
    while start < len(walk):
        same = walk.truncation[start : start + size] == walk.truncation[start]
        stop = start + (len(same) if same.all() else int(np.argmin(same)))
        yield slice(start, stop)
        start = stop


def sample_walk(
    model: Model,
    walk: Walk,
    *,
    stage: int | None = None,
    conditions: Mapping[str, str | float] | None = None,
    batch_size: int = 8,
) -> Iterator[Batch]:
    """Generate the frames of a walk in order, one batch per chunk (see `chunks`)."""
    for part in chunks(walk, batch_size):
        yield sample_part(model, walk, part, stage=stage, conditions=conditions)


def sample_part(
    model: Model,
    walk: Walk,
    part: slice,
    *,
    stage: int | None = None,
    conditions: Mapping[str, str | float] | None = None,
) -> Batch:
    """Generate the frames of one chunk in a single batch."""
    latents = walk.latents[part]
    return model.sample(
        latents=latents,
        offsets=[offset[part] for offset in walk.offsets],
        truncation=float(walk.truncation[part][0]),
        stage=stage,
        conditions=conditions,
        batch_size=len(latents),
    )
