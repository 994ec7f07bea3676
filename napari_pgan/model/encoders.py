"""Encoders: networks from images or label maps to latents."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from napari_pgan.errors import InputError
from napari_pgan.model.layers import down
from napari_pgan.model.networks import Architecture
from napari_pgan.schema import Channels

if TYPE_CHECKING:
    from napari_pgan.model.model import Model

_PIXELS = 512  # most pixels of the images that encoders take, so that they are trained in minutes


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


def encode(model: Model, *, images: np.ndarray | None = None, labels: np.ndarray | None = None) -> np.ndarray:
    """Latents whose images, or segmentations, are near the given ones; each row is encoded by itself.

    This takes milliseconds and is a start: `refine` goes on from it.

    Parameters
    ----------
    model
        With encoders.
    images
        (N, M, …) in [-1, 1] on the model's grid, the modalities in the card's order; or else
    labels
        (N, …) in the model's label values.

    Returns
    -------
    numpy.ndarray
        (N, L) float32, on the sphere of radius √L.

    Raises
    ------
    InputError
        The model has no such encoder, or what is given does not fit it.
    """
    if (images is None) == (labels is None):
        raise InputError("give either images or labels to encode, not both or neither")
    encoders = encoders_of(model)
    if images is not None:
        pictures, network = image_tensor(model, images), encoders.images
    else:
        if encoders.labels is None:
            raise InputError("this model makes no segmentation, so none can be encoded; give images")
        pictures, network = model.encoding.fractions(label_tensor(model, labels)), encoders.labels
    with torch.inference_mode():
        z: np.ndarray = network(reduced(pictures, model, encoders.shape.stage)).cpu().numpy()
    return z


def encoders_of(model: Model) -> Encoders:
    """A model's encoders; raises InputError where it has none."""
    if model.encoders is None:
        raise InputError("this model has no encoders; `napari-pgan-train encoder MODEL` makes them")
    return model.encoders


def image_tensor(model: Model, images: np.ndarray) -> torch.Tensor:
    """Images on the model's device, clipped to [-1, 1]; raises InputError for those that are not on its grid."""
    x = torch.as_tensor(np.asarray(images, np.float32))
    wanted = (model.encoding.modality_count, *model.card.grid.shape)
    if x.ndim != len(wanted) + 1 or tuple(x.shape[1:]) != wanted or not torch.isfinite(x).all():
        raise InputError(f"images of shape {tuple(x.shape)} do not fit; this model takes {('N', *wanted)}, all finite")
    return x.clamp(-1, 1).to(model.device)


def label_tensor(model: Model, labels: np.ndarray | None) -> torch.Tensor:
    """Label maps on the model's device; raises InputError for those that are not the model's."""
    found = np.asarray(labels)
    grid, values = model.card.grid.shape, model.card.channels.values
    if found.ndim != len(grid) + 1 or found.shape[1:] != grid or found.dtype.kind not in "iu":
        raise InputError(f"label maps of shape {found.shape} do not fit; this model takes {('N', *grid)} whole numbers")
    if unknown := sorted(set(np.unique(found).tolist()) - {0, *values.tolist()}):
        raise InputError(f"the label map holds {', '.join(map(str, unknown))}, which the model does not know")
    return torch.as_tensor(found.astype(np.uint8)).to(model.device)


def reduced(x: torch.Tensor, model: Model, stage: int) -> torch.Tensor:
    """Pictures of the model's grid as box averages at the size of a stage."""
    for _ in range(model.stages - 1 - stage):
        x = down(x)
    return x


def encoder_stage(model: Model) -> int:
    """The largest stage whose pictures have few enough pixels for an encoder to be learnt in minutes."""
    shapes = [model.card.architecture.shape(stage) for stage in range(model.stages)]
    return max((stage for stage, shape in enumerate(shapes) if math.prod(shape) <= _PIXELS), default=0)
