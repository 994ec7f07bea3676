"""A small feature encoder, trained on the cohort's training subjects.

Networks trained on photographs are of little use for MRI, need a download, and take three channels. This encoder takes
the cohort's modalities and trains in half a minute without labels (see `contrastive`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.contrastive import (
    decorrelation_loss,
    nt_xent,
    sample_batch,
    slice_positions,
    views,
)
from napari_pgan.evaluation.likeness.features import factor_below, shrink
from napari_pgan.model.bfloat16 import has_bf16

LARGEST = 64  # longest side of the network's input, in pixels
_WIDTHS = (24, 48, 64, 96)
FEATURES = _WIDTHS[-1]
_BATCH = 96
_CHUNK = 128
_METADATA_KEY = "napari_pgan_encoder"
_VERSION = 1
_DECORRELATION = 0.05  # weight of the loss
_SCALING_IMAGES = 4096  # images that determine the scale of the features


class _Network(nn.Module):
    """Pairs of convolutions, the first of stride 2, followed by global average pooling.

    There is no normalisation: batch statistics would make features depend on the other images, and statistics of the
    image itself would hide its contrast and noise.
    """

    def __init__(self, modalities: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = modalities
        for i, width in enumerate(_WIDTHS):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            if i:
                layers += [nn.Conv2d(width, width, 3, padding=1), nn.LeakyReLU(0.2)]
            before = width
        self.body = nn.Sequential(*layers)
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        self.mean: torch.Tensor
        self.deviation: torch.Tensor
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, 0.2)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, M, Y, X) → (N, D), before scaling."""
        return self.body(images).mean(dim=(2, 3))


class Encoder:
    """A trained encoder.

    Parameters
    ----------
    network
        The network.
    modalities
        Number of modalities.
    shape
        Input size (Y, X); larger images are averaged over boxes.
    trained
        Facts about its training.
    """

    def __init__(
        self, network: _Network, modalities: int, shape: tuple[int, int], trained: dict[str, int | float]
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modalities, self.shape, self.trained = modalities, shape, trained

    @property
    def about(self) -> dict[str, object]:
        """Description for the report."""
        n, subjects = self.trained["images"], self.trained["subjects"]
        sentence = (
            "a small network trained by self-supervision (SimCLR) to tell slices of a subject apart, "
            f"on {n} training images of {subjects} subjects at {self.shape[0]}×{self.shape[1]}"
        )
        about = {"kind": "trained", "sentence": sentence, "features": FEATURES, "shape": list(self.shape)}
        return {**about, **self.trained}

    def features(self, images: np.ndarray) -> np.ndarray:
        """Compute features, scaled to mean 0 and variance 1 over the training images.

        Parameters
        ----------
        images
            (N, M, Y, X) in [-1, 1], of the encoder's size or an integer multiple of it.

        Returns
        -------
        numpy.ndarray
            float32 (N, D). Features do not depend on other images of the batch.

        Raises
        ------
        InputError
            The number of modalities or the size does not match.
        """
        factor = images.shape[2] // self.shape[0] if images.ndim == 4 else 0
        if images.ndim != 4 or images.shape[1:] != (self.modalities, self.shape[0] * factor, self.shape[1] * factor):
            raise InputError(
                f"images of shape {images.shape} do not match the encoder, which takes (N, {self.modalities}, Y, X) of "
                f"{self.shape[0]}×{self.shape[1]} or a multiple; train an encoder on this cohort"
            )
        out = np.empty((len(images), FEATURES), np.float32)
        with torch.inference_mode():
            for start in range(0, len(images), _CHUNK):
                part = torch.from_numpy(shrink(images[start : start + _CHUNK], factor))
                raw = self.network(part.contiguous(memory_format=torch.channels_last))
                out[start : start + _CHUNK] = ((raw - self.network.mean) / self.network.deviation).numpy()
        return out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the encoder atomically as safetensors."""
        about = {
            "version": _VERSION,
            "modalities": self.modalities,
            "shape": list(self.shape),
            "trained": self.trained,
        }
        tensors = {k: v.contiguous() for k, v in self.network.state_dict().items()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={_METADATA_KEY: json.dumps(about)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Encoder:
        """Read a file written by `save`.

        Raises
        ------
        InputError
            The file is missing, damaged, or of another version.
        """
        wrong = f"{path}: is no encoder of this version; delete it to train it again"
        try:
            with safe_open(Path(path), framework="pt") as file:
                about = json.loads((file.metadata() or {})[_METADATA_KEY])
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a mapping)
            if about["version"] != _VERSION:
                raise InputError(wrong)
            network = _Network(about["modalities"])
            network.load_state_dict(tensors)
            height, width = about["shape"]
            return cls(network, about["modalities"], (height, width), about["trained"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(wrong) from error


def train_encoder(
    images: np.ndarray,
    subject: np.ndarray,
    *,
    steps: int = 150,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Encoder:
    """Train an encoder on real images.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1], modalities of training subjects. Images of a subject must be in the order of its
        slices, so that neighbours are not pushed apart. They may be memory-mapped.
    subject
        (N,), the subject of each image.
    steps
        Optimiser steps.
    seed
        Seed of weights, batches and views.
    progress
        Called with (done, total) after each step.

    Raises
    ------
    InputError
        There are fewer than two images.
    """
    if len(images) < 2:
        raise InputError(f"{len(images)} image is too few to train an encoder; give training subjects with slices")
    factor = factor_below(images.shape[2:], LARGEST)
    position = torch.from_numpy(slice_positions(subject))
    index = torch.from_numpy(np.unique(subject, return_inverse=True)[1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _Network(images.shape[1])
        head = nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.LeakyReLU(0.2), nn.Linear(FEATURES, 48))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    random = torch.Generator().manual_seed(seed)
    parameters = [*network.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.2)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu"))
    for step in range(steps):
        rows = sample_batch(subject, _BATCH, random)
        chosen = torch.from_numpy(shrink(images[rows], factor))
        pair = torch.cat([views(chosen, random), views(chosen, random)])
        with autocast:
            features = network(pair.contiguous(memory_format=torch.channels_last))
            projected = head(features)
        first, second = projected.chunk(2)
        loss = nt_xent(first, second, index[rows], position[rows])
        loss = loss + _DECORRELATION * decorrelation_loss(features.float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if progress:
            progress(step + 1, steps)
    encoder = Encoder(
        network,
        images.shape[1],
        (images.shape[2] // factor, images.shape[3] // factor),
        {"images": len(images), "subjects": len(np.unique(subject)), "steps": steps, "seed": seed, "loss": loss.item()},
    )
    _scale(encoder, images)
    return encoder


def _scale(encoder: Encoder, images: np.ndarray) -> None:
    """Scale features to mean 0 and variance 1 over up to `_SCALING_IMAGES` training images."""
    some = images[np.linspace(0, len(images) - 1, min(len(images), _SCALING_IMAGES)).round().astype(int)]
    found = torch.from_numpy(encoder.features(some))
    encoder.network.mean.copy_(found.mean(dim=0))
    encoder.network.deviation.copy_(found.std(dim=0).clamp_min(1e-6))
