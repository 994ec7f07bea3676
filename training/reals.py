"""The cohort's images on the training device, and the order in which they are shown."""

from __future__ import annotations

import numpy as np
import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Condition, Encoding
from napari_pgan.store import Store
from napari_pgan.training.randomness import generator_for


class Reals:
    """All slices of a split at one size, as channels.

    Parameters
    ----------
    store, split
        Whose slices.
    size
        Pixels along the longer side.
    encoding
        How labels become channels.
    conditions
        What is told beside the image.
    device
        Where they are kept, in half precision (the store's).
    mirror
        The axis, counted from the last, along which every slice is mirrored and there a second time.
    """

    def __init__(
        self,
        store: Store,
        split: str,
        size: int,
        encoding: Encoding,
        conditions: tuple[Condition, ...] = (),
        device: torch.device | str = "cpu",
        mirror: int | None = None,
    ) -> None:
        slices = store.load_slices(split, size)
        if not len(slices.images):
            raise InputError(f"the store has no slices to {split}; prepare it with another --split")
        images, fractions = torch.from_numpy(slices.images), torch.from_numpy(slices.labels)
        channels = encoding.encode(images, fractions)
        told = torch.zeros(len(images), sum(c.size for c in conditions))
        if conditions:
            sources = {"slice_position": slices.position}
            rows = zip(*(sources[c.name] for c in conditions), strict=True)
            told = torch.tensor(
                [[x for c, v in zip(conditions, row, strict=True) for x in c.encode(v)] for row in rows]
            )
        if mirror is not None:
            channels, told = torch.cat([channels, channels.flip(mirror)]), torch.cat([told, told])
        self.images = channels.half().to(device)
        self.conditions = told.to(device)
        self.subjects: np.ndarray = slices.subject

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The images that follow after `seen`: (count, C, …) float32 and their conditions.

        Every epoch has its own order, drawn from seed and epoch; so the order is a function of the images seen.
        """
        positions = range(seen, seen + count)
        orders = {e: self._order(e, seed) for e in {p // len(self) for p in positions}}
        index = torch.stack([orders[p // len(self)][p % len(self)] for p in positions]).to(self.images.device)
        return self.images[index].float(), self.conditions[index]

    def _order(self, epoch: int, seed: int) -> torch.Tensor:
        return torch.randperm(len(self), generator=generator_for(seed, "order", epoch))
