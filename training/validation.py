"""Previews of fixed latents, and the distance of samples to held-out subjects."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.model import Condition, Encoding, latents_of_seeds
from napari_pgan.model.networks import Generator
from napari_pgan.samples.sheet import lay_out, write_sheet
from napari_pgan.store import Store
from napari_pgan.training.dataset import encode_positions
from napari_pgan.training.growth_animation import caption, preview_name, preview_note
from napari_pgan.training.plan_architecture import width_at

_PREVIEW_SEEDS = range(8)
_CELL = (128, 512)  # least and greatest side of an image on a preview, in pixels
_DISTANCE_SEED = 2**30  # far from the seeds that users look at


class Validation:
    """Renders the EMA generator of a training, and compares `samples` images with those of held-out subjects.

    These are the store's validation subjects; without any, its training subjects.
    """

    def __init__(self, store: Store, encoding: Encoding, conditions: tuple[Condition, ...], samples: int) -> None:
        self.samples, self.store, self.encoding, self.conditions = samples, store, encoding, conditions
        self.split = "val" if store.keys("val") else "train"
        self._references: tuple[int, np.ndarray, np.ndarray] | None = None  # size, images, positions

    def preview(self, folder: Path, generator: Generator, stage: int, alpha: float, seen: int) -> None:
        """Write a sheet of the same few latents, with the same layout at every stage, named by images seen and size."""
        architecture = generator.architecture
        latents, middle = latents_of_seeds(_PREVIEW_SEEDS, architecture.latent), np.full(len(_PREVIEW_SEEDS), 0.5)
        x = self._render(generator, stage, alpha, latents, middle)
        images, labels = self.encoding.images(x).clamp(-1, 1), self.encoding.decode(x)
        side, last = min(images.shape[-2:]), min(architecture.shape(architecture.stages - 1))
        cell = last * max(1, math.ceil(_CELL[0] / last))
        while cell > _CELL[1] and cell % 2 == 0:
            cell //= 2
        if side > cell:
            step = side // cell
            images, labels = torch.nn.functional.avg_pool2d(images, step), labels[:, ::step, ::step]
        rows, size = [f"seed {seed}" for seed in _PREVIEW_SEEDS], max(x.shape[-2:])
        channels, scale, title = self.encoding.channels, max(cell // side, 1), caption(seen, size, alpha)
        layout = lay_out(len(rows), (images.shape[-2], images.shape[-1]), channels, True, rows, scale, 2, title)
        note = preview_note(seen, size, alpha, layout, rows, channels.labels)
        path = folder / preview_name(seen, size)
        write_sheet(path, images.numpy(), labels.numpy(), channels, rows, scale, 2, note, title)

    def distance(self, generator: Generator, stage: int, alpha: float, size: int) -> dict[str, float]:
        """Return the sliced Wasserstein distances ×10³ of samples to held-out slices, over all channels, by level."""
        if self._references is None or self._references[0] != size:
            self._references = (size, *self._load_references(size))
        _, real, positions = self._references
        count = min(self.samples, len(real))
        seeds = range(_DISTANCE_SEED, _DISTANCE_SEED + count)
        latents = latents_of_seeds(seeds, generator.architecture.latent)
        fake = self._render(generator, stage, alpha, latents, positions).clamp(-1, 1).numpy()
        return {str(k): round(v, 4) for k, v in sliced_wasserstein(real, fake).items()}

    def _load_references(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        slices = self.store.load_slices(self.split, width_at(self.store.grid, size))
        pick = np.linspace(0, len(slices.images) - 1, min(self.samples, len(slices.images))).round().astype(int)
        images, fractions = torch.from_numpy(slices.images[pick]), torch.from_numpy(slices.labels[pick])
        return self.encoding.encode(images, fractions).numpy(), slices.position[pick]

    @torch.no_grad()
    def _render(
        self, generator: Generator, stage: int, alpha: float, latents: np.ndarray, positions: np.ndarray
    ) -> Tensor:
        device, conditions = generator.dense.weight.device, encode_positions(positions, self.conditions)
        batches = zip(torch.from_numpy(latents).split(32), conditions.split(32), strict=True)
        return torch.cat([generator(z.to(device), stage, alpha, c.to(device)).float().cpu() for z, c in batches])
