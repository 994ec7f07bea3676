"""Where a generated image comes from, in a form that makes it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_pgan import __version__
from napari_pgan.model import Card


def provenance(
    card: Card,
    identity: str,
    seed: int | None,
    latent: np.ndarray,
    truncation: float = 1.0,
    conditions: Mapping[str, str | float] | None = None,
    stage: int | None = None,
    refined: bool = False,
) -> dict[str, Any]:
    """What made one image: the model and everything it was asked for.

    Parameters
    ----------
    card
        The model's card.
    identity
        The model's identity (`Model.identity`).
    seed
        The latent's seed, or None where the latent was found or moved.
    latent
        (L,); kept in full, since not every latent has a seed.
    truncation, conditions, stage
        As they were given to `Model.sample`; a stage of None is the last one.
    refined
        Whether offsets were added, so that the latent alone makes another image.

    Returns
    -------
    dict
        Plain JSON values.
    """
    return {
        "synthetic": True,
        "software": f"napari-pgan {__version__}",
        "model": card.name,
        "model_identity": identity,
        "model_licence": card.licence,
        "seed": None if seed is None else int(seed),
        "truncation": float(truncation),
        "conditions": dict(conditions or {}),
        "stage": card.architecture.stages - 1 if stage is None else int(stage),
        "refined": bool(refined),
        "latent": [float(x) for x in np.asarray(latent, np.float32)],
    }
