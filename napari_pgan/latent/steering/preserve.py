"""A region of an image that a search must not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from napari_pgan.errors import InputError
from napari_pgan.latent.steering.target import Loss, Target
from napari_pgan.model import Model
from napari_pgan.model.label_encoding import Encoding

_WEIGHT = 10.0  # of the preserved region relative to the target
_HEAD = 0.05  # intensity above the minimum, in [-1, 1], below which a pixel is air


@dataclass(frozen=True)
class Preserve:
    """Images and the part of them to preserve: one for all candidates, or one for each.

    Parameters
    ----------
    latents
        (N, L) float32 of the images; the search starts at the first.
    images
        (N, M, Y, X) float32 in [-1, 1].
    where
        (N, Y, X) bool: pixels to preserve.
    modalities
        (M,) bool: modalities to preserve.
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
        """Preserve a region of the images of latents.

        Parameters
        ----------
        model
            The model of the latents.
        latents
            (N, L).
        where
            (N, Y, X) bool: pixels to preserve.
        modalities
            Names of the modalities to preserve; None for all.
        conditions
            See `Model.sample`.

        Raises
        ------
        InputError
            Nothing is preserved, or a modality or size is not the model's.
        """
        names = model.card.channels.modalities
        if unknown := [name for name in modalities or () if name not in names]:
            raise InputError(f"the model has no modality {unknown[0]!r}; it has {', '.join(names)}")
        shape = (len(latents), *model.card.grid.shape)
        if where.shape != shape:
            raise InputError(f"the region to preserve has shape {where.shape}; the images have {shape}")
        chosen = np.array([modalities is None or name in modalities for name in names], bool)
        if not where.any() or not chosen.any():
            raise InputError("no pixel or modality is marked to be preserved; mark a region, or search without one")
        images = model.sample(latents=latents, conditions=conditions).images
        return cls(np.asarray(latents, np.float32), images, where.astype(bool), chosen)

    @property
    def inside(self) -> np.ndarray:
        """(N, Y, X) bool: preserved pixels inside the patient's head, without the air."""
        return self.where & (self.images[:, self.modalities] > _HEAD - 1).any(axis=1)

    def moved(self, images: np.ndarray) -> np.ndarray:
        """Return how much images (N, M, Y, X) differ from the preserved ones, (N,).

        The mean absolute difference over the preserved pixels of the head, as a share of the intensity range.
        """
        far = np.abs(images[:, self.modalities] - self.images[:, self.modalities]).mean(axis=1) / 2
        inside = np.broadcast_to(self.inside, far.shape)
        return (far * inside).sum((1, 2)) / np.maximum(inside.sum((1, 2)), 1)

    def objective(self, encoding: Encoding, factor: int = 1) -> Loss:
        """Return a smooth version of `moved` for channels (N, C, y, x) of images smaller by `factor`."""
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
    """Return the loss of a stage's channels: distance to the target plus change of the preserved region."""
    factor = 2 ** (model.stages - 1 - stage)
    distance = target.objective(model.encoding, factor)
    if preserve is None:
        return distance
    change = preserve.objective(model.encoding, factor)
    return lambda x: distance(x) + _WEIGHT * change(x)
