"""What of images shall stay while their lesion changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from napari_pgan.errors import InputError
from napari_pgan.latent.steering.target import Loss, Target
from napari_pgan.model import Model
from napari_pgan.model.encoding import Encoding

_WEIGHT = 10.0  # of what shall stay, beside the target
_HEAD = 0.05  # above the darkest, in [-1, 1]: less is air


@dataclass(frozen=True)
class Preserve:
    """Images, and which part of them is to stay: one for all candidates, or one for each.

    Parameters
    ----------
    latents
        (N, L) float32 of the images; a search begins at the first.
    images
        (N, M, Y, X) float32 in [-1, 1].
    where
        (N, Y, X) bool: the pixels that shall stay.
    modalities
        (M,) bool: those that shall stay.
    """

    latents: np.ndarray
    images: np.ndarray
    where: np.ndarray
    modalities: np.ndarray

    @classmethod
    def of(
        cls,
        model: Model,
        latents: np.ndarray,
        where: np.ndarray,
        modalities: Sequence[str] | None = None,
        conditions: Mapping[str, str | float] | None = None,
    ) -> Preserve:
        """Of what latents show.

        Parameters
        ----------
        model
            Whose latents they are.
        latents
            (N, L).
        where
            (N, Y, X) bool: the pixels that shall stay.
        modalities
            Names of those that shall stay; None for all.
        conditions
            As in `Model.sample`.

        Raises
        ------
        InputError
            Nothing is kept, or a modality or size is not the model's.
        """
        names = model.card.channels.modalities
        if unknown := [name for name in modalities or () if name not in names]:
            raise InputError(f"the model has no modality {unknown[0]!r}; it has {', '.join(names)}")
        if where.shape != (len(latents), *model.card.grid.shape):
            raise InputError(
                f"what to preserve is {where.shape} large, the images {(len(latents), *model.card.grid.shape)}"
            )
        chosen = np.array([modalities is None or name in modalities for name in names], bool)
        if not where.any() or not chosen.any():
            raise InputError("nothing is to be kept; mark a region, or search without one")
        images = model.sample(latents=latents, conditions=conditions).images
        return cls(np.asarray(latents, np.float32), images, where.astype(bool), chosen)

    @property
    def inside(self) -> np.ndarray:
        """(N, Y, X) bool: what shall stay of the heads, not of the air around them."""
        return self.where & (self.images[:, self.modalities] > _HEAD - 1).any(axis=1)

    def moved(self, images: np.ndarray) -> np.ndarray:
        """How far images (N, M, Y, X) have moved from it where it was to stay, (N,): the mean absolute difference over
        pixels of the head, as a share of the range of intensities."""
        far = np.abs(images[:, self.modalities] - self.images[:, self.modalities]).mean(axis=1) / 2
        inside = np.broadcast_to(self.inside, far.shape)
        return (far * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)

    def objective(self, encoding: Encoding, factor: int = 1) -> Loss:
        """How far channels (N, C, y, x) have moved from it, as `moved` but smooth, for images smaller by a factor."""
        chosen = torch.from_numpy(self.modalities)
        size = (self.where.shape[1] // factor, self.where.shape[2] // factor)
        want = F.adaptive_avg_pool2d(torch.from_numpy(self.images), size)[:, chosen]
        weight = F.adaptive_avg_pool2d(torch.from_numpy(self.inside)[:, None].float(), size)
        whole = weight.sum((1, 2, 3)).clamp(min=1) * want.shape[1] * 2

        def far(x: torch.Tensor) -> torch.Tensor:
            images = encoding.images(x).float()[:, chosen.to(x.device)]
            apart = F.smooth_l1_loss(images, want.to(x.device).expand_as(images), reduction="none", beta=0.1)
            return (apart * weight.to(x.device)).sum((1, 2, 3)) / whole.to(x.device)

        return far


def total_loss(model: Model, target: Target, preserve: Preserve | None, stage: int) -> Loss:
    """How far channels of a stage are from the target, and from what shall stay."""
    factor = 2 ** (model.stages - 1 - stage)
    asked = target.objective(model.encoding, factor)
    if preserve is None:
        return asked
    stay = preserve.objective(model.encoding, factor)
    return lambda x: asked(x) + _WEIGHT * stay(x)
