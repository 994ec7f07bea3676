"""Starting latents of a search."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_pgan.latent.steering.bank import Bank, bank_stage
from napari_pgan.latent.steering.preserve import Preserve
from napari_pgan.latent.steering.target import Target
from napari_pgan.latent.steering.target_areas import TargetAreas
from napari_pgan.latent.steering.target_mask import TargetMask
from napari_pgan.model import Model
from napari_pgan.model.encoders import encode

_TAKEN = (8, 24, 64)  # numbers of directions that the latent of a preserved image takes from others
_LEADERS = 2  # nearest bank latents that are also mixed with the encoder's result
_RANKED = 64  # latents re-ranked at full size for areas, which the bank's small segmentations measure only roughly
_ENCODED = 32  # directions that a segmentation determines; an encoding says nothing about the others


def starts(
    model: Model,
    target: Target,
    bank: Bank,
    preserve: Preserve | None,
    count: int,
    conditions: Mapping[str, str | float] | None = None,
) -> np.ndarray:
    """Return latents to start from, most promising first: (N, L) with N ≥ `count`.

    These are the bank's most similar latents. If the model has an encoder for segmentations, two of them also get its
    encoding of the drawing in the directions that matter for labels (taking all directions from it would lead to one
    single image). With a preserved image, its latent comes first, then copies with those directions taken from the
    bank: no gradient leads from a lesion in one place to one in another.

    Parameters
    ----------
    model, target, bank, preserve, conditions
        See `steer`.
    count
        Number of latents that are optimised.
    """
    factor = 2 ** (model.stages - 1 - bank_stage(model))
    taken = max(count, _RANKED) if isinstance(target, TargetAreas) else count
    near = model.latents([bank.seeds[i] for i in bank.rank(target, factor)[:taken]])
    if isinstance(target, TargetAreas):
        near = _ranked(model, target, near, conditions)[:count]
    directions = bank.directions.numpy()
    if preserve is not None:
        own = preserve.latents[:1]
        return np.concatenate([own, *(_mixed(own, near, directions, taken) for taken in _TAKEN)])
    encoded = _encoded(model, target)
    if encoded is None:
        return near
    return np.concatenate([_mixed(near[:_LEADERS], encoded, directions, _ENCODED), near])


def _ranked(
    model: Model, target: TargetAreas, latents: np.ndarray, conditions: Mapping[str, str | float] | None
) -> np.ndarray:
    """Return the latents sorted by the score of their segmentations at full size."""
    labels = model.sample(latents=latents, conditions=conditions, batch_size=16).labels
    ordered: np.ndarray = latents[np.argsort(-target.score(labels), kind="stable")]
    return ordered


def _encoded(model: Model, target: Target) -> np.ndarray | None:
    """Return the encoding (1, L) of a drawing; None if there is no encoder or the drawing is open or empty."""
    if not isinstance(target, TargetMask) or target.open.any() or not target.present.any():
        return None
    if model.encoders is None or model.encoders.labels is None:
        return None
    return encode(model, labels=target.labels[None])


def _mixed(latents: np.ndarray, others: np.ndarray, directions: np.ndarray, count: int) -> np.ndarray:
    """Return latents (N, L) with the others' parts along the last `count` directions; a single row is repeated."""
    own, theirs = np.broadcast_arrays(latents @ directions, others @ directions)
    mixed: np.ndarray = np.concatenate([own[:, :-count], theirs[:, -count:]], axis=1) @ directions.T
    return mixed.astype(np.float32)
