"""Networks from images, or from label maps, back to latents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_pgan.model.networks import Architecture
from napari_pgan.schema import Channels


@dataclass(frozen=True)
class EncoderShape:
    """What decides the shape of a model's encoders.

    Parameters
    ----------
    stage
        Of the generator; images and label maps are averaged down to its size before they are encoded.
    components, hidden
        Numbers that a picture is reduced to first, and neurons of each layer after it.
    """

    stage: int
    components: int
    hidden: int

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EncoderShape:
        """Raises KeyError for what is missing and ValueError for what is no shape of an encoder."""
        numbers = [data[name] for name in ("stage", "components", "hidden")]
        if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= 2**16 for n in numbers):
            raise ValueError("its encoders' numbers are no whole numbers in reason")
        return cls(*numbers)


class Encoder(nn.Module):
    """Small pictures → latents on the sphere of radius √L, each by itself: nothing is shared between a batch's rows.

    A picture is first reduced to its whitened principal components, in which a network learns many times as quickly as
    from pixels; a linear map of them and a network of two layers beside it add up to what of the latent the picture
    tells. That is short of the sphere. The rest of the way leads in one direction that hardly shows in an image, since
    scaling up what is told would exaggerate it.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    rest: torch.Tensor

    def __init__(self, inputs: int, latent: int, shape: EncoderShape) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("basis", torch.zeros(shape.components, inputs))
        self.register_buffer("rest", F.one_hot(torch.tensor(0), latent).float())  # (L,), of length 1
        self.linear = nn.Linear(shape.components, latent)
        self.first = nn.Linear(shape.components, shape.hidden)
        self.second = nn.Linear(shape.hidden, shape.hidden)
        self.last = nn.Linear(shape.hidden, latent)

    def told(self, x: torch.Tensor) -> torch.Tensor:
        """Modalities in [-1, 1], or the labels' shares of each pixel, (N, …) → what they tell of the latent, (N, L)."""
        x = (x.flatten(1) - self.mean) @ self.basis.T
        z: torch.Tensor = self.linear(x) + self.last(F.silu(self.second(F.silu(self.first(x)))))
        return z

    def completed(self, told: torch.Tensor) -> torch.Tensor:
        """What is told of latents, (N, L), brought to the sphere."""
        squared = float(told.shape[1])
        told = told - (told @ self.rest)[:, None] * self.rest
        length = told.norm(dim=1, keepdim=True).clamp(min=1e-6)
        told = told * (0.99 * math.sqrt(squared) / length).clamp(max=1)
        return told + (squared - told.square().sum(dim=1, keepdim=True)).sqrt() * self.rest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures as in `told` → latents (N, L)."""
        return self.completed(self.told(x))


class Encoders(nn.Module):
    """The encoders of a model: of its modalities and, where it has labels, of its segmentations.

    Parameters
    ----------
    architecture
        Of the generator.
    channels
        What it makes.
    shape
        Of the encoders.
    """

    directions: torch.Tensor
    labels: Encoder | None

    def __init__(self, architecture: Architecture, channels: Channels, shape: EncoderShape) -> None:
        super().__init__()
        self.shape, latent, pixels = shape, architecture.latent, math.prod(architecture.shape(shape.stage))
        self.images = Encoder(len(channels.modalities) * pixels, latent, shape)
        self.labels = Encoder(len(channels.labels) * pixels, latent, shape) if channels.labels else None
        self.register_buffer("directions", torch.eye(latent))  # columns, see `latent.encoder.learning`
