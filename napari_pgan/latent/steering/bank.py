"""A bank of latents and their segmentations, from which a search starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.latent.directions import visible_directions
from napari_pgan.latent.steering.objective import label_logits
from napari_pgan.latent.steering.target import Target
from napari_pgan.latent.steering.target_mask import TargetMask
from napari_pgan.model import Model

COUNT = 8192
FIRST_SEED = 3_000_000_000  # beyond the seeds that users choose, so that no sample of theirs is its own neighbour
SMALLEST = 16  # minimum side of the label maps in pixels
_BATCH = 64
_PROBES, _PROBE_BATCH = 1024, 32  # latents from which the directions are computed
_TISSUE = -0.7  # darker pixels are air with noise
_RARE = 0.02  # share of images below which a pixel counts as always empty
_TENSORS = ("shares", "directions", "heads")
_FORMAT = "2"


@dataclass(frozen=True)
class Bank:
    """Small segmentations of the latents of consecutive seeds from `FIRST_SEED`.

    Parameters
    ----------
    shares
        uint8 (N, K, y, x): the labels' shares of each pixel, 255 for the whole pixel.
    directions
        float32 (L, L): orthonormal columns, sorted by how much they change the segmentation, weakest first
        (`label_directions`).
    heads
        float32 (Y, X): share of the model's images in which the pixel is not air, at full size.
    """

    shares: torch.Tensor
    directions: torch.Tensor
    heads: torch.Tensor

    def __len__(self) -> int:
        return len(self.shares)

    @property
    def seeds(self) -> range:
        """Seeds of the latents, in the order of `shares`."""
        return range(FIRST_SEED, FIRST_SEED + len(self))

    def rank(self, target: Target, factor: int) -> np.ndarray:
        """Return the indices (N,) of all entries, most similar to the target first.

        Parameters
        ----------
        target
            The segmentation to find.
        factor
            Ratio of the model's image size to the size of the bank's label maps.
        """
        return target.similarity(self.shares, factor).argsort(descending=True, stable=True).numpy()

    def outside(self, target: TargetMask) -> float:
        """Return the share of the drawing that lies where the model's images are almost always empty."""
        drawn = target.labels > 0
        return float((self.heads.numpy()[drawn] < _RARE).mean()) if drawn.any() else 0.0

    def warnings(self, target: TargetMask) -> tuple[str, ...]:
        """Return sentences about a drawing that the model may not be able to match."""
        share = self.outside(target)
        if share <= 0.5:
            return ()
        return (f"{100 * share:.0f} % of the drawing lies where this model's images are empty; it is tried anyway.",)


def make_bank(model: Model, count: int = COUNT, progress: Callable[[int, int], None] | None = None) -> Bank:
    """Sample latents and return their segmentations as a bank.

    Parameters
    ----------
    model
        A model with labels.
    count
        Number of latents.
    progress
        Called with (done, total); an exception that it raises stops the work.
    """
    stage, parts = bank_stage(model), []
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    for start in range(0, count, _BATCH):
        z = torch.from_numpy(model.latents(seeds[start : start + _BATCH]))
        with torch.inference_mode():
            found = model.encoding.probabilities(
                model.generate(z, stage=stage, conditions=model.card.default_conditions)
            )
        parts.append((found * 255).round().to("cpu", torch.uint8))
        if progress:
            progress(min(start + _BATCH, count), count)
    return Bank(torch.cat(parts), label_directions(model), _heads(model))


def label_directions(model: Model, count: int = _PROBES) -> torch.Tensor:
    """Return the latent directions (L, L) that change the segmentation, weakest first; see `visible_directions`."""
    stage = max(0, model.stages - 2)
    first = FIRST_SEED + 10**8

    def draws() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(first, first + count, _PROBE_BATCH):
            z = torch.from_numpy(model.latents(range(start, start + _PROBE_BATCH)))
            z = z.to(model.device).requires_grad_(True)
            logits = label_logits(
                model.generate(z, stage=stage, conditions=model.card.default_conditions), model.encoding
            )
            yield z, torch.sigmoid(logits[:, 1:])

    return visible_directions(draws())


def _heads(model: Model, count: int = 256) -> torch.Tensor:
    total = torch.zeros(model.card.grid.shape)
    for start in range(0, count, _BATCH):
        z = torch.from_numpy(model.latents(range(FIRST_SEED + start, FIRST_SEED + start + _BATCH)))
        with torch.inference_mode():
            images = model.encoding.images(model.generate(z, conditions=model.card.default_conditions))
        total += (images > _TISSUE).any(dim=1).sum(dim=0).cpu()
    return total / count


def cached_bank(model: Model, count: int = COUNT, progress: Callable[[int, int], None] | None = None) -> Bank:
    """Return the model's bank from the user's cache folder; make and cache it if it is missing or damaged."""
    path = bank_path(model, count)
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("format") == _FORMAT:
                return Bank(*(file.get_tensor(name) for name in _TENSORS))
    except (OSError, SafetensorError):
        pass
    bank = make_bank(model, count, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file({name: getattr(bank, name).contiguous() for name in _TENSORS}, temporary, {"format": _FORMAT})
    except (OSError, SafetensorError, InputError):  # without a cache the bank is made again next time
        pass
    return bank


def bank_path(model: Model, count: int = COUNT) -> Path:
    """Return the cache file of a model's bank, named by the generator's hash so that copies of the model share it."""
    folder = Path(platformdirs.user_cache_dir("napari-pgan", appauthor=False)) / "banks"
    return folder / f"{model.identity[:32]}-{count}.safetensors"


def bank_stage(model: Model) -> int:
    """Return the first stage whose images have at least `SMALLEST` pixels on each side."""
    shapes = [model.card.architecture.shape(stage) for stage in range(model.stages)]
    return next((stage for stage, shape in enumerate(shapes) if min(shape) >= SMALLEST), model.stages - 1)
