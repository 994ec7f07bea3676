"""What a person or a machine can see of a training: previews of fixed latents, and distance to held-out subjects."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from napari_pgan.evaluation.likeness.swd import sliced_wasserstein
from napari_pgan.model import Condition, Encoding, latents_of_seeds
from napari_pgan.model.networks import Generator
from napari_pgan.samples.sheet import lay_out, write_sheet
from napari_pgan.store import Store
from napari_pgan.training.growth_animation import caption, preview_name, preview_note

_PREVIEW_SEEDS = range(8)
_CELL = (128, 512)  # pixels of a side that an image takes on a preview, at least and at most
_DISTANCE_SEED = 2**30  # far from the seeds that people look at


class Validation:
    """Renders the running mean of a training.

    Parameters
    ----------
    store
        Whose validation subjects are compared with (the training ones where there are none).
    encoding, conditions
        Of the model.
    samples
        How many are compared.
    """

    def __init__(self, store: Store, encoding: Encoding, conditions: tuple[Condition, ...], samples: int) -> None:
        self.samples, self.store, self.encoding, self.conditions = samples, store, encoding, conditions
        self.split = "val" if store.keys("val") else "train"
        self._reals: tuple[int, np.ndarray, np.ndarray] | None = None

    def preview(self, folder: Path, generator: Generator, stage: int, alpha: float, seen: int) -> None:
        """Write a sheet of the same few latents, laid out alike at every stage, named by images seen and size."""
        architecture = generator.architecture
        x = self._render(generator, stage, alpha, latents_of_seeds(_PREVIEW_SEEDS, architecture.latent), None)
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
        """Sliced Wasserstein distances ×10³ of samples to held-out slices, all channels together, by level."""
        if self._reals is None or self._reals[0] != size:
            self._reals = (size, *self._real_channels(size))
        _, real, told = self._reals
        count = min(self.samples, len(real))
        seeds = range(_DISTANCE_SEED, _DISTANCE_SEED + count)
        latents = latents_of_seeds(seeds, generator.architecture.latent)
        fake = self._render(generator, stage, alpha, latents, torch.from_numpy(told)).clamp(-1, 1).numpy()
        return {str(k): round(v, 4) for k, v in sliced_wasserstein(real, fake).items()}

    def _real_channels(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        height, width = self.store.grid.shape
        slices = self.store.load_slices(self.split, size * width // max(height, width))
        pick = np.linspace(0, len(slices.images) - 1, min(self.samples, len(slices.images))).round().astype(int)
        images, fractions = torch.from_numpy(slices.images[pick]), torch.from_numpy(slices.labels[pick])
        return self.encoding.encode(images, fractions).numpy(), slices.position[pick]

    @torch.no_grad()
    def _render(
        self, generator: Generator, stage: int, alpha: float, latents: np.ndarray, position: torch.Tensor | None
    ) -> torch.Tensor:
        device, parts = generator.dense.weight.device, []
        told = None
        if self.conditions:
            middle = torch.full((len(latents),), 0.5) if position is None else position
            told = torch.tensor([[x for c in self.conditions for x in c.encode(float(p))] for p in middle])
        for start in range(0, len(latents), 32):
            z = torch.from_numpy(latents[start : start + 32]).to(device)
            rows = None if told is None else told[start : start + 32].to(device)
            parts.append(generator(z, stage, alpha, rows).float().cpu())
        return torch.cat(parts)
