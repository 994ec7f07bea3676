"""Images to compare: samples of the model, and slices of the store at the model's size.

Beyond `MEMORY` bytes in total, arrays are memory-mapped temporary files, which disappear with the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_pgan.errors import InputError
from napari_pgan.evaluation.matching import Match
from napari_pgan.model import Model
from napari_pgan.store import SPLITS, Slices, Store, label_map

MEMORY = 1 << 30
_BATCH = 32
_EXACT = 32  # float16 represents label fractions of boxes up to this side length exactly


@dataclass
class ArrayAllocator:
    """Allocate arrays in memory up to a limit, then in temporary files."""

    left: int = MEMORY

    def empty(self, shape: Sequence[int], dtype: type) -> np.ndarray:
        """Return a new, uninitialised array.

        Raises
        ------
        InputError
            The disk has no room for it.
        """
        need = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if need <= self.left:
            self.left -= need
            return np.empty(tuple(shape), dtype)
        try:
            with tempfile.TemporaryFile(prefix="napari-pgan-") as file:  # the array keeps the file open
                file.truncate(max(need, 1))
                return np.memmap(file, dtype, "r+", shape=tuple(shape))
        except OSError as error:
            raise InputError(
                f"{tempfile.gettempdir()}: no room for {need / 1e9:.1f} GB ({error.strerror or error}); set TMPDIR to "
                "a larger disk, or reduce --samples"
            ) from error


@dataclass(frozen=True)
class Samples:
    """Generated images.

    Parameters
    ----------
    images
        float32 (N, M, Y, X) in [-1, 1].
    labels
        uint8 (N, Y, X), label values of the model card.
    fractions
        float16 (N, K, Y, X): one-hot labels, without background.
    seeds
        Seed of each latent.
    """

    images: np.ndarray
    labels: np.ndarray
    fractions: np.ndarray
    seeds: range

    def __len__(self) -> int:
        return len(self.images)


def draw_samples(
    model: Model,
    count: int,
    seed: int,
    allocator: ArrayAllocator,
    positions: np.ndarray | None = None,
    stage: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Generate images in float32, with consecutive seeds.

    Parameters
    ----------
    model
        The generator.
    count, seed
        Number of images and first seed. Unconditional models give the same images as
        ``sample --count COUNT --seed SEED``.
    allocator
        Allocates the arrays.
    positions
        (P,): slice positions of the training data. A model conditioned on the slice position gets one of them per
        sample, drawn at random with the seed.
    stage
        As in `Model.sample`.
    progress
        Called with (done, total).
    """
    seeds, stage = range(seed, seed + count), model.stage(stage)
    shape, encoding = model.card.architecture.shape(stage), model.encoding
    images = allocator.empty((count, encoding.modality_count, *shape), np.float32)
    labels = allocator.empty((count, *shape), np.uint8)
    fractions = allocator.empty((count, encoding.label_count, *shape), np.float16)
    conditions = _conditions(model, count, seed, positions)
    for start in range(0, count, _BATCH):
        part = slice(start, min(start + _BATCH, count))
        if conditions is None:
            batch = model.sample(seeds=seeds[part], stage=stage, batch_size=_BATCH)
            images[part], labels[part] = batch.images, batch.labels
        else:
            images[part], labels[part] = _conditional_batch(model, seeds[part], conditions[part], stage)
        fractions[part] = labels[part, None] == encoding.channels.values[None, :, None, None]
        if progress:
            progress(part.stop, count)
    return Samples(images, labels, fractions, seeds)


def load_slices(
    store: Store, match: Match, allocator: ArrayAllocator, keys: Sequence[str], size: int | None = None
) -> Slices:
    """Load the slices of some subjects, with channels in the model's order, in half precision where it is lossless.

    Parameters
    ----------
    store, match
        The cohort, and how its channels and sizes map to those of the model.
    allocator
        Allocates the arrays.
    keys
        Subjects. The result is sorted by split: train, val, test.
    size
        Length of the last axis in pixels; the model's size if None.
    """
    wanted = [key for split in SPLITS for key in store.keys(split) if key in set(keys)]
    count = sum(len(store.subject(key).slices) for key in wanted)
    if not count:
        raise InputError(f"{store.address}: has no slices of the subjects to compare; prepare the cohort again")
    size = match.size if size is None else size
    shape = tuple(n * size // store.grid.shape[-1] for n in store.grid.shape)
    factor = store.grid.shape[-1] // size
    images = allocator.empty((count, len(match.modalities), *shape), np.float16 if factor == 1 else np.float32)
    labels = allocator.empty((count, len(match.labels), *shape), np.float16 if factor <= _EXACT else np.float32)
    subject, position = np.empty(count, np.int64), np.empty(count, np.float32)
    start = 0
    for split in SPLITS:
        if not set(store.keys(split)) & set(wanted):
            continue
        for part in store.iter_slices(split, size):
            key = part.keys[int(part.subject[0])]
            if key not in wanted:
                continue
            rows = slice(start, start + len(part))
            images[rows] = part.images[:, list(match.modalities)]
            labels[rows] = part.labels[:, list(match.labels)]
            subject[rows], position[rows] = wanted.index(key), part.position
            start = rows.stop
    return Slices(images, labels, subject, position, tuple(wanted))


def one_hot(fractions: np.ndarray) -> np.ndarray:
    """Round label fractions (N, K, Y, X) to float32 0 or 1: the label that covers more than half of the pixel is 1."""
    values = np.arange(1, fractions.shape[1] + 1)
    return (label_map(fractions, values)[:, None] == values[None, :, None, None]).astype(np.float32)


def _conditions(model: Model, count: int, seed: int, positions: np.ndarray | None) -> torch.Tensor | None:
    """Encoded conditions of each sample (N, numbers); None for an unconditional model."""
    if not model.card.conditions:
        return None
    assert positions is not None
    drawn = np.random.default_rng([seed, 1]).choice(positions, count)
    rows = [[x for c in model.card.conditions for x in c.encode(float(p))] for p in drawn]
    return torch.tensor(rows, dtype=torch.float32)


@torch.inference_mode()
def _conditional_batch(
    model: Model, seeds: range, conditions: torch.Tensor, stage: int
) -> tuple[np.ndarray, np.ndarray]:
    latents = torch.from_numpy(model.latents(seeds)).to(model.device)
    first = model.generator.first_map(latents, conditions.to(model.device))
    x = model.generator.synthesize(first, stage).float()
    return model.encoding.images(x).clamp(-1, 1).cpu().numpy(), model.encoding.decode(x).cpu().numpy()
