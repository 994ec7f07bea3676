"""A segmenter of the cohort's labels, for the measures use and consistency.

A small residual U-Net (Kerfoot et al. 2018, doi:10.1007/978-3-030-12029-0_40) of MONAI, trained with Dice and cross
entropy (Isensee et al. 2020, doi:10.1038/s41592-020-01008-z). It need not be the best segmenter, but the same one for
every comparison.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.evaluation.optional_packages import check_installed
from napari_pgan.evaluation.segmentation.labelled import Indexed
from napari_pgan.model.bfloat16 import has_bf16
from napari_pgan.schema import Channels

STEPS = 3000
_BATCH = 16
_CHUNK = 1024  # label maps per chunk
_WIDTHS = (24, 48, 96, 96)
_RATE, _DECAY = 3e-3, 1e-3
_EMPTY = 0.5  # sampling weight of images without a label; 1 for images with one
_TURN, _ZOOM, _SHIFT, _GAIN, _NOISE = 15.0, 0.15, 0.1, 0.2, 0.05  # degrees, relative zoom, share of half the image, …
_KEY = "napari_pgan_segmenter"
_BACKGROUND = -1.0


@dataclass
class Segmenter:
    """Images → label maps.

    Parameters
    ----------
    network
        (N, M, Y, X) → (N, 1 + K, Y, X), background first.
    modalities
        Number of modalities.
    values
        Label values, in the order of the network's output channels.
    """

    network: torch.nn.Module
    modalities: int
    values: tuple[int, ...]

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Segment images (N, M, Y, X) in [-1, 1]; return label maps (N, Y, X), uint8."""
        table = np.array([0, *self.values], np.uint8)
        maps = np.empty((len(images), *images.shape[2:]), np.uint8)
        for start in range(0, len(images), 64):
            part = slice(start, start + 64)
            x = torch.from_numpy(np.ascontiguousarray(images[part], np.float32))
            maps[part] = table[self.network(_channels_last(x)).argmax(1).numpy()]
        return maps

    def save(self, path: Path) -> None:
        """Write the segmenter as safetensors."""
        about = json.dumps({"modalities": self.modalities, "values": self.values})
        tensors = {name: x.contiguous() for name, x in self.network.state_dict().items()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, {_KEY: about})

    @classmethod
    def load(cls, path: Path) -> Segmenter:
        """Read a file written by `save`; raise InputError if it is damaged."""
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})[_KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            network = _network(about["modalities"], len(about["values"]))
            network.load_state_dict(tensors)
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: cannot be read as a segmenter; delete it and evaluate again") from error
        return cls(network.eval(), about["modalities"], tuple(about["values"]))


def train_segmenter(
    images: Indexed,
    labels: Indexed,
    channels: Channels,
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Segmenter:
    """Train a segmenter.

    Augmentation: random rotation, left-right flip, shift, zoom, gain and noise.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1]; one batch at a time is read into memory.
    labels
        uint8 (N, Y, X), label values of `channels`; read in the same way.
    channels
        The labels.
    steps
        Optimiser steps with 16 images each.
    seed
        Seed of initial weights, order and augmentation.
    progress
        Called with (done, total).

    Raises
    ------
    InputError
        There are no images or no labels, or the extra ``eval`` is not installed.
    """
    check_installed(("monai",))
    weights, any_label = _weights(labels, channels.values)
    if not any_label:
        raise InputError("there are no labelled images to train a segmenter; use more samples or subjects")
    from monai.losses import DiceCELoss

    values = tuple(int(v) for v in channels.values)
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(images.shape[1], len(values)).train()
    table = torch.zeros(256, dtype=torch.long)
    table[list(values)] = torch.arange(1, len(values) + 1)
    adam = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, _RATE, total_steps=steps, pct_start=0.1)
    loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)
    for step in range(steps):
        chosen = torch.multinomial(weights, _BATCH, replacement=True, generator=random)
        x = torch.from_numpy(np.asarray(images[chosen.numpy()], np.float32))
        y = table[torch.from_numpy(labels[chosen.numpy()]).long()]
        x, y = _augmented(x, y[:, None], random)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16("cpu")):
            scores = network(_channels_last(x))
        value = loss(scores.float(), y)
        adam.zero_grad()
        value.backward()
        adam.step()
        schedule.step()
        if progress and (step + 1) % 10 == 0:
            progress(step + 1, steps)
    return Segmenter(network.eval(), images.shape[1], values)


def _weights(labels: Indexed, values: np.ndarray) -> tuple[torch.Tensor, bool]:
    """Sampling weight of each image (N,), and whether any has a label."""
    weights = torch.full((len(labels),), _EMPTY)
    any_label = False
    for start in range(0, len(labels), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(labels)))
        some = labels[rows].reshape(len(rows), -1)
        any_label |= bool(some.any())
        weights[torch.from_numpy(rows[np.isin(some, values).any(axis=1)])] = 1.0
    return weights, any_label


def _network(modalities: int, labels: int) -> torch.nn.Module:
    from monai.networks.nets import UNet

    network = UNet(2, modalities, labels + 1, _WIDTHS, (2,) * (len(_WIDTHS) - 1), num_res_units=1, norm="batch")
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _augmented(x: torch.Tensor, y: torch.Tensor, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Augment images (N, M, Y, X) and label maps (N, 1, Y, X)."""
    n = len(x)

    def signed(*shape: int) -> torch.Tensor:
        return 2 * torch.rand(n, *shape, generator=random) - 1

    gain = 1 + _GAIN * signed(x.shape[1], 1, 1)
    noise = _NOISE * torch.rand(n, 1, 1, 1, generator=random) * torch.randn(x.shape, generator=random)
    x = (x - _BACKGROUND) * gain + noise
    angle, zoom = torch.deg2rad(_TURN * signed()), 1 + _ZOOM * signed()
    side, shift = torch.where(signed() < 0, -1.0, 1.0), _SHIFT * signed(2)
    rows = torch.stack(
        [
            torch.stack([zoom * angle.cos() * side, -zoom * angle.sin(), shift[:, 0]], 1),
            torch.stack([zoom * angle.sin() * side, zoom * angle.cos(), shift[:, 1]], 1),
        ],
        dim=1,
    )
    grid = F.affine_grid(rows, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False) + _BACKGROUND
    return x, F.grid_sample(y.float(), grid, mode="nearest", align_corners=False)


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last)
