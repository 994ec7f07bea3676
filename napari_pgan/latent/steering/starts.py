"""Where a search begins: near latents that draw what is asked for."""

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

_TAKEN = (8, 24, 64)  # directions that a latent whose image is to be kept takes over from others
_LEADERS = 2  # that begin with what an encoder tells
_LOOKED_AT = 64  # of the bank where areas are asked for, which its small segmentations tell roughly
_TOLD = 32  # directions that the segmentation tells: of the rest, an encoding knows nothing


def starts(
    model: Model,
    target: Target,
    bank: Bank,
    preserve: Preserve | None,
    count: int,
    conditions: Mapping[str, str | float] | None = None,
) -> np.ndarray:
    """Latents to begin from, likely good ones first: (N, L), `count` or more.

    The bank's nearest; and where the model has an encoder for segmentations, two of them with what it tells of the
    drawing in the directions that matter for labels (all of them would lead to one and the same image). Where an image
    is to be kept, its latent, with those directions taken over from the bank's nearest: from a lesion in one place no
    gradient leads to one in another.

    Parameters
    ----------
    model, target, bank, preserve, conditions
        As in `steer`.
    count
        How many are followed.
    """
    factor = 2 ** (model.stages - 1 - bank_stage(model))
    taken = max(count, _LOOKED_AT) if isinstance(target, TargetAreas) else count
    near = model.latents([bank.seeds[i] for i in bank.rank(target, factor)[:taken]])
    if isinstance(target, TargetAreas):
        near = _looked_at(model, target, near, conditions)[:count]
    directions = bank.directions.numpy()
    if preserve is not None:
        own = preserve.latents[:1]
        return np.concatenate([own, *(_with(own, near, directions, taken) for taken in _TAKEN)])
    drawn = _encoded(model, target)
    if drawn is None:
        return near
    return np.concatenate([_with(near[:_LEADERS], drawn, directions, _TOLD), near])


def _looked_at(
    model: Model, target: TargetAreas, latents: np.ndarray, conditions: Mapping[str, str | float] | None
) -> np.ndarray:
    """Latents whose segmentations at full size meet the target best first."""
    labels = model.sample(latents=latents, conditions=conditions, batch_size=16).labels
    ordered: np.ndarray = latents[np.argsort(-target.score(labels), kind="stable")]
    return ordered


def _encoded(model: Model, target: Target) -> np.ndarray | None:
    """What the encoder makes of a drawing, (1, L); None where it cannot be asked."""
    if not isinstance(target, TargetMask) or target.open.any() or not target.present.any():
        return None
    if model.encoders is None or model.encoders.labels is None:
        return None
    return encode(model, labels=target.labels[None])


def _with(latents: np.ndarray, others: np.ndarray, directions: np.ndarray, count: int) -> np.ndarray:
    """Latents (N, L) with others' parts along the last so many directions; one row stands for all on either side."""
    own, theirs = np.broadcast_arrays(latents @ directions, others @ directions)
    mixed: np.ndarray = np.concatenate([own[:, :-count], theirs[:, -count:]], axis=1) @ directions.T
    return mixed.astype(np.float32)
