"""What the measures look at: samples of the model, and the store's slices as the model would make them.

Beyond `MEMORY` bytes in all, arrays lie in temporary files, which the system keeps in memory while there is room, and
which are gone when the process is.
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
_EXACT = 32  # boxes of as many pixels a side have shares that float16 holds exactly


@dataclass
class Shelf:
    """Gives out arrays: in memory up to a bound, then in temporary files."""

    left: int = MEMORY

    def empty(self, shape: Sequence[int], dtype: type) -> np.ndarray:
        """A new array; its content is undefined.

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
            with tempfile.TemporaryFile(prefix="napari-pgan-") as file:  # the array keeps it alive
                file.truncate(max(need, 1))
                return np.memmap(file, dtype, "r+", shape=tuple(shape))
        except OSError as error:
            raise InputError(
                f"{tempfile.gettempdir()}: has no room for {need / 1e9:.1f} GB ({error.strerror or error}); set TMPDIR "
                "to a larger disk, or take fewer --samples"
            ) from error


@dataclass(frozen=True)
class Samples:
    """Generated images.

    Parameters
    ----------
    images
        float32 (N, M, Y, X) in [-1, 1].
    labels
        uint8 (N, Y, X) in the card's label values, as a user gets them.
    fractions
        float16 (N, K, Y, X): the labels, one channel each, 0 or 1.
    seeds
        Of their latents.
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
    shelf: Shelf,
    positions: np.ndarray | None = None,
    stage: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Samples:
    """Samples of the seeds from `seed` on, in float32.

    Parameters
    ----------
    model
        Who makes them.
    count, seed
        The same images as of ``sample --count COUNT --seed SEED``, where the model is told nothing.
    shelf
        Where they lie.
    positions
        (P,): for a model that is told where a slice lies, the positions of the slices that it learnt from; each sample
        gets one of them, drawn at random by the seed.
    stage
        As in `Model.sample`.
    progress
        Called with (done, all).
    """
    seeds, stage = range(seed, seed + count), model.stage(stage)
    shape, encoding = model.card.architecture.shape(stage), model.encoding
    images = shelf.empty((count, encoding.modality_count, *shape), np.float32)
    labels = shelf.empty((count, *shape), np.uint8)
    fractions = shelf.empty((count, encoding.label_count, *shape), np.float16)
    told = _told(model, count, seed, positions)
    for start in range(0, count, _BATCH):
        part = slice(start, min(start + _BATCH, count))
        if told is None:
            batch = model.sample(seeds=seeds[part], stage=stage, batch_size=_BATCH)
            images[part], labels[part] = batch.images, batch.labels
        else:
            images[part], labels[part] = _told_batch(model, seeds[part], told[part], stage)
        values = encoding.channels.values
        fractions[part] = labels[part, None] == values[None, :, None, None]
        if progress:
            progress(part.stop, count)
    return Samples(images, labels, fractions, seeds)


def load_slices(store: Store, match: Match, shelf: Shelf, keys: Sequence[str], size: int | None = None) -> Slices:
    """Slices of some subjects, in the order of the model's channels, in half precision where that loses nothing.

    Images are stored in it, so that means of pixels alone take more; shares of a label in boxes fit into it.

    Parameters
    ----------
    store, match
        Whose, and how they become the model's.
    shelf
        Where they lie.
    keys
        The subjects. They come sorted within their split: those of train first, then val, then test.
    size
        Pixels of the last axis; the model's size if None.
    """
    wanted = [key for split in SPLITS for key in store.keys(split) if key in set(keys)]
    count = sum(len(store.subject(key).slices) for key in wanted)
    if not count:
        raise InputError(f"{store.address}: has no slices of the subjects to compare; prepare the cohort again")
    size = match.size if size is None else size
    shape = tuple(n * size // store.grid.shape[-1] for n in store.grid.shape)
    factor = store.grid.shape[-1] // size
    images = shelf.empty((count, len(match.modalities), *shape), np.float16 if factor == 1 else np.float32)
    labels = shelf.empty((count, len(match.labels), *shape), np.float16 if factor <= _EXACT else np.float32)
    subject, position = np.empty(count, np.int64), np.empty(count, np.float32)
    at = 0
    for split in SPLITS:
        if not set(store.keys(split)) & set(wanted):
            continue
        for part in store.iter_slices(split, size):
            key = part.keys[int(part.subject[0])]
            if key not in wanted:
                continue
            rows = slice(at, at + len(part))
            images[rows] = part.images[:, list(match.modalities)]
            labels[rows] = part.labels[:, list(match.labels)]
            subject[rows], position[rows] = wanted.index(key), part.position
            at = rows.stop
    return Slices(images, labels, subject, position, tuple(wanted))


def crisp(fractions: np.ndarray) -> np.ndarray:
    """Label fractions (N, K, Y, X) as float32 0 and 1, as a model's labels are: whose more than half of a pixel is."""
    values = np.arange(1, fractions.shape[1] + 1)
    return (label_map(fractions, values)[:, None] == values[None, :, None, None]).astype(np.float32)


def _told(model: Model, count: int, seed: int, positions: np.ndarray | None) -> torch.Tensor | None:
    """What each sample is told: (N, numbers), or None where the model is told nothing."""
    if not model.card.conditions:
        return None
    assert positions is not None
    drawn = np.random.default_rng([seed, 1]).choice(positions, count)
    rows = [[x for c in model.card.conditions for x in c.encode(float(p))] for p in drawn]
    return torch.tensor(rows, dtype=torch.float32)


@torch.inference_mode()
def _told_batch(model: Model, seeds: range, told: torch.Tensor, stage: int) -> tuple[np.ndarray, np.ndarray]:
    latents = torch.from_numpy(model.latents(seeds)).to(model.device)
    x = model.generator.synthesize(model.generator.first_map(latents, told.to(model.device)), stage).float()
    return model.encoding.images(x).clamp(-1, 1).cpu().numpy(), model.encoding.decode(x).cpu().numpy()
