"""What of the present image shall stay while its lesion changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from napari_pgan.errors import InputError
from napari_pgan.latent.steering.goal import Goal, Loss
from napari_pgan.model import Model
from napari_pgan.model.encoding import Encoding

_WEIGHT = 30.0  # of what shall stay, beside the goal
_HEAD = 0.05  # above the darkest, in [-1, 1]: less is air


@dataclass(frozen=True)
class Keep:
    """An image, and which part of it is to stay.

    Parameters
    ----------
    latent
        (L,) float32 of the image; the search begins there.
    images
        (M, Y, X) float32 in [-1, 1].
    where
        (Y, X) bool: the pixels that shall stay.
    modalities
        (M,) bool: those that shall stay.
    """

    latent: np.ndarray
    images: np.ndarray
    where: np.ndarray
    modalities: np.ndarray

    @classmethod
    def of(
        cls, model: Model, latent: np.ndarray, where: np.ndarray, modalities: Sequence[str] | None = None, **how: object
    ) -> Keep:
        """Of what a latent (L,) shows.

        Parameters
        ----------
        model
            Whose latent it is.
        latent
            (L,).
        where
            (Y, X) bool: the pixels that shall stay.
        modalities
            Names of those that shall stay; None for all.
        **how
            For `Model.sample`: conditions.

        Raises
        ------
        InputError
            Nothing is kept, or a modality or size is not the model's.
        """
        names = model.card.channels.modalities
        if unknown := [name for name in modalities or () if name not in names]:
            raise InputError(f"the model has no modality {unknown[0]!r}; it has {', '.join(names)}")
        if where.shape != model.card.grid.shape:
            raise InputError(f"what to keep has {where.shape} pixels, the model's images {model.card.grid.shape}")
        chosen = np.array([modalities is None or name in modalities for name in names], bool)
        if not where.any() or not chosen.any():
            raise InputError("nothing is to be kept; mark a region, or search without one")
        images = model.sample(latents=latent[None], **how).images[0]  # type: ignore[arg-type]
        return cls(np.asarray(latent, np.float32), images, where.astype(bool), chosen)

    def moved(self, images: np.ndarray) -> np.ndarray:
        """How far images (N, M, Y, X) have moved from it where it was to stay, (N,): the mean absolute difference over
        pixels of the head, as a share of the range of intensities."""
        inside = self.where & (self.images[self.modalities] > _HEAD - 1).any(axis=0)
        if not inside.any():
            return np.zeros(len(images))
        far = np.abs(images[:, self.modalities] - self.images[self.modalities])[:, :, inside]
        return far.mean(axis=(1, 2)) / 2

    def objective(self, encoding: Encoding, factor: int = 1) -> Loss:
        """How far channels (N, C, y, x) have moved from it, as `moved` but smooth, for images smaller by a factor."""
        chosen = torch.from_numpy(self.modalities)
        size = (self.where.shape[0] // factor, self.where.shape[1] // factor)
        want = F.adaptive_avg_pool2d(torch.from_numpy(self.images)[None], size)[0, chosen]
        weight = F.adaptive_avg_pool2d(torch.from_numpy(self.where)[None, None].float(), size)[0]
        weight = weight * (want > _HEAD - 1).any(dim=0, keepdim=True)

        def far(x: torch.Tensor) -> torch.Tensor:
            images = encoding.images(x).float()[:, chosen.to(x.device)]
            apart = F.smooth_l1_loss(images, want.to(x.device).expand_as(images), reduction="none", beta=0.1)
            total = (apart * weight.to(x.device)).sum((1, 2, 3))
            return total / (weight.sum().to(x.device).clamp(min=1) * len(want)) / 2

        return far


def total_loss(model: Model, goal: Goal, keep: Keep | None, stage: int) -> Loss:
    """How far channels of a stage are from the goal, and from what shall stay."""
    factor = 2 ** (model.stages - 1 - stage)
    asked = goal.objective(model.encoding, factor)
    if keep is None:
        return asked
    stay = keep.objective(model.encoding, factor)
    return lambda x: asked(x) + _WEIGHT * stay(x)
