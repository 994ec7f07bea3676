"""One pass through a model's encoder.

Steering begins with it, and what refines an encoding (the room `encoder`) stands on steering: so it lies below both.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Encoders, Model
from napari_pgan.model.layers import down

_PIXELS = 512  # of the pictures that encoders see, at most


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
