"""What a person or a machine can see of a training: previews of fixed latents, and distance to held-out subjects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from napari_pgan.evaluation.swd import sliced_wasserstein
from napari_pgan.model import Condition, Encoding, latents_of_seeds
from napari_pgan.model.networks import Generator
from napari_pgan.samples.sheet import write_sheet
from napari_pgan.store import Store

_PREVIEW_SEEDS = range(8)
_DISTANCE_SEED = 2**30  # far from the seeds that people look at


class Watch:
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

    def preview(self, path: Path, generator: Generator, stage: int, alpha: float) -> None:
        """Write a sheet of the same few latents at every size."""
        x = self._render(generator, stage, alpha, latents_of_seeds(_PREVIEW_SEEDS, generator.architecture.latent), None)
        images = self.encoding.images(x).clamp(-1, 1).numpy()
        write_sheet(path, images, self.encoding.decode(x).numpy(), self.encoding.channels, blocks=2)

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
