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

_PIXELS = 512  # maximum pixels of the encoders' inputs, so that training takes minutes


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of a model's encoders.

    Parameters
    ----------
    stage
        Generator stage; inputs are averaged down to its image size.
    components, hidden
        Number of principal components, and of neurons in each hidden layer.
    """

    stage: int
    components: int
    hidden: int

    def to_dict(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EncoderShape:
        """Create from JSON; raises KeyError for missing keys and ValueError for impossible numbers."""
        numbers = [data[name] for name in ("stage", "components", "hidden")]
        if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= 2**16 for n in numbers):
            raise ValueError("its encoders' sizes are not whole numbers from 0 to 65536")
        return cls(*numbers)


class Encoder(nn.Module):
    """Maps small images to latents on the sphere of radius √L; rows of a batch are independent.

    The image is reduced to its whitened principal components, in which a network learns many times faster than from
    pixels. A linear map of them plus a network of two hidden layers estimates the part of the latent that the image
    determines. The estimate is shorter than the sphere's radius; the remainder goes in one direction that hardly
    changes the image, since scaling up the estimate would exaggerate it.
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

    def estimate(self, x: torch.Tensor) -> torch.Tensor:
        """Return the estimate (N, L) from modalities in [-1, 1] or label shares, (N, …)."""
        x = (x.flatten(1) - self.mean) @ self.basis.T
        z: torch.Tensor = self.linear(x) + self.last(F.silu(self.second(F.silu(self.first(x)))))
        return z

    def complete(self, estimate: torch.Tensor) -> torch.Tensor:
        """Bring estimates (N, L) onto the sphere."""
        squared = float(estimate.shape[1])
        estimate = estimate - (estimate @ self.rest)[:, None] * self.rest
        length = estimate.norm(dim=1, keepdim=True).clamp(min=1e-6)
        estimate = estimate * (0.99 * math.sqrt(squared) / length).clamp(max=1)
        return estimate + (squared - estimate.square().sum(dim=1, keepdim=True)).sqrt() * self.rest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return latents (N, L); inputs as in `estimate`."""
        return self.complete(self.estimate(x))


class Encoders(nn.Module):
    """A model's encoders: of its modalities and, if it has labels, of its segmentations.

    Parameters
    ----------
    architecture
        The generator's.
    channels
        The generator's.
    shape
        Sizes of the encoders.
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
    """Return latents whose images, or segmentations, are close to the given ones; rows are independent.

    This takes milliseconds; `napari_pgan.latent.encoder.refine` improves the result.

    Parameters
    ----------
    model
        A model with encoders.
    images
        (N, M, …) in [-1, 1] on the model's grid, modalities in the card's order. Give either these or labels.
    labels
        (N, …) in the model's label values.

    Returns
    -------
    numpy.ndarray
        (N, L) float32, on the sphere of radius √L.

    Raises
    ------
    InputError
        The model has no such encoder, or the input does not fit it.
    """
    if (images is None) == (labels is None):
        raise InputError("give either images or labels to encode, not both")
    encoders = encoders_of(model)
    if images is not None:
        pictures, network = image_tensor(model, images), encoders.images
    else:
        if encoders.labels is None:
            raise InputError("this model has no segmentation, so label maps cannot be encoded; give images")
        pictures, network = model.encoding.fractions(label_tensor(model, labels)), encoders.labels
    with torch.inference_mode():
        z: np.ndarray = network(reduced(pictures, model, encoders.shape.stage)).cpu().numpy()
    return z


def encoders_of(model: Model) -> Encoders:
    """Return a model's encoders; raises InputError if it has none."""
    if model.encoders is None:
        raise InputError("this model has no encoders; `napari-pgan-train encoder MODEL` makes them")
    return model.encoders


def image_tensor(model: Model, images: np.ndarray) -> torch.Tensor:
    """Return images on the model's device, clipped to [-1, 1]; raises InputError if they do not fit its grid."""
    x = torch.as_tensor(np.asarray(images, np.float32))
    wanted = (model.encoding.modality_count, *model.card.grid.shape)
    if x.ndim != len(wanted) + 1 or tuple(x.shape[1:]) != wanted or not torch.isfinite(x).all():
        raise InputError(f"images of shape {tuple(x.shape)} do not fit; this model takes finite ones, {('N', *wanted)}")
    return x.clamp(-1, 1).to(model.device)


def label_tensor(model: Model, labels: np.ndarray | None) -> torch.Tensor:
    """Return label maps on the model's device; raises InputError if they do not fit the model."""
    maps, grid = np.asarray(labels), model.card.grid.shape
    if maps.ndim != len(grid) + 1 or maps.shape[1:] != grid or maps.dtype.kind not in "iu":
        raise InputError(f"label maps of shape {maps.shape} do not fit; this model takes integers {('N', *grid)}")
    if unknown := sorted(set(np.unique(maps).tolist()) - {0, *model.card.channels.values.tolist()}):
        raise InputError(f"the label map contains {', '.join(map(str, unknown))}, which the model does not have")
    return torch.as_tensor(maps.astype(np.uint8)).to(model.device)


def reduced(x: torch.Tensor, model: Model, stage: int) -> torch.Tensor:
    """Average images on the model's grid down to the size of a stage."""
    for _ in range(model.stages - 1 - stage):
        x = down(x)
    return x


def encoder_stage(model: Model) -> int:
    """Return the largest stage whose images have at most `_PIXELS` pixels."""
    shapes = [model.card.architecture.shape(stage) for stage in range(model.stages)]
    return max((stage for stage, shape in enumerate(shapes) if math.prod(shape) <= _PIXELS), default=0)
