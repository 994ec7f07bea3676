"""Provenance of a generated image: everything needed to generate it again."""

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
    """Return the provenance of one image.

    Parameters
    ----------
    card
        The model's card.
    identity
        The model's identity (`Model.identity`).
    seed
        The latent's seed, or None if it has none.
    latent
        (L,); stored in full, since not every latent has a seed.
    truncation, conditions, stage
        As given to `Model.sample`; a stage of None is the last one.
    refined
        Whether feature offsets were added, so that the latent alone gives another image.

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
