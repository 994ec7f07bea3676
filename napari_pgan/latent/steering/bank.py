"""Latents with what they draw, so that a search for a segmentation begins near it."""

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
FIRST_SEED = 3_000_000_000  # beyond the seeds that people name, so that no sample of theirs is its own neighbour
SMALLEST = 16  # pixels of the bank's label maps
_BATCH = 64
_PROBES, _PROBED = 1024, 32  # latents that tell the directions, and at once
_TISSUE = -0.7  # darker is air with its noise
_SELDOM = 0.02  # of images
_TENSORS = ("shares", "directions", "heads")
_FORMAT = "2"


@dataclass(frozen=True)
class Bank:
    """The segmentations that the seeds from `FIRST_SEED` on draw, small.

    Parameters
    ----------
    shares
        uint8 (N, K, y, x): the labels' shares of a pixel, 255 for all of it.
    directions
        float32 (L, L), a column a direction, orthonormal: those along which a latent moves the segmentation the least
        first, the most last (`label_directions`).
    heads
        float32 (Y, X): in which share of images there is anything, at full size.
    """

    shares: torch.Tensor
    directions: torch.Tensor
    heads: torch.Tensor

    def __len__(self) -> int:
        return len(self.shares)

    @property
    def seeds(self) -> range:
        """Of the latents, in the order of `shares`."""
        return range(FIRST_SEED, FIRST_SEED + len(self))

    def rank(self, target: Target, factor: int) -> np.ndarray:
        """All entries, those that meet the target best first: (N,) indices.

        Parameters
        ----------
        target
            What is asked for.
        factor
            By how much the bank's label maps are smaller than the model's.
        """
        return target.similarity(self.shares, factor).argsort(descending=True, stable=True).numpy()

    def outside(self, target: TargetMask) -> float:
        """Which share of what is drawn lies where images of the model are hardly ever anything but air."""
        drawn = target.labels > 0
        return float((self.heads.numpy()[drawn] < _SELDOM).mean()) if drawn.any() else 0.0

    def warnings(self, target: TargetMask) -> tuple[str, ...]:
        """What is to be said of a drawing that is tried all the same, one sentence each."""
        share = self.outside(target)
        if share <= 0.5:
            return ()
        return (
            f"{100 * share:.0f} % of the drawing lie where this model's images are empty; it is tried all the same.",
        )


def make_bank(model: Model, count: int = COUNT, progress: Callable[[int, int], None] | None = None) -> Bank:
    """Sample latents and preserve their segmentations, as `bank_stage` has them.

    Parameters
    ----------
    model
        Whose; it needs labels.
    count
        How many.
    progress
        Called with (done, all); what it raises ends the work.
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
    """The directions along which a latent moves the segmentation, weakest first: (L, L), see `visible_directions`."""
    stage = max(0, model.stages - 2)
    first = FIRST_SEED + 10**8

    def draws() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(first, first + count, _PROBED):
            z = torch.from_numpy(model.latents(range(start, start + _PROBED))).to(model.device).requires_grad_(True)
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
    """The bank of the model in the user's cache folder, or one that is made now and kept there."""
    path = bank_path(model, count)
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("format") == _FORMAT:
                return Bank(*(file.get_tensor(name) for name in _TENSORS))
    except (OSError, SafetensorError):  # none yet, or damaged: made anew
        pass
    bank = make_bank(model, count, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            save_file({name: getattr(bank, name).contiguous() for name in _TENSORS}, temporary, {"format": _FORMAT})
    except (OSError, SafetensorError, InputError):  # it works without being kept, only slower the next time
        pass
    return bank


def bank_path(model: Model, count: int = COUNT) -> Path:
    """Where a model's bank is kept: by the hash of the generator, so that a copy of a model finds it, too."""
    folder = Path(platformdirs.user_cache_dir("napari-pgan", appauthor=False)) / "banks"
    return folder / f"{model.identity[:32]}-{count}.safetensors"


def bank_stage(model: Model) -> int:
    """The stage of the bank's label maps: the first of 16 pixels or more."""
    shapes = [model.card.architecture.shape(stage) for stage in range(model.stages)]
    return next((stage for stage, shape in enumerate(shapes) if min(shape) >= SMALLEST), model.stages - 1)
