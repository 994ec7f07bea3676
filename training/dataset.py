"""The cohort's images on the training device, and the order in which they are shown."""

from __future__ import annotations

import numpy as np
import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Condition, Encoding
from napari_pgan.store import Slices, Store
from napari_pgan.training.device import free_bytes, sent
from napari_pgan.training.randomness import generator_for

_SHARE = 0.5  # of a GPU's free memory, that the cohort's images may take


class Dataset:
    """Images with what is told beside them, and the order in which they are shown.

    Parameters
    ----------
    images
        (N, C, …) in half precision; they are kept on the device if they leave it room enough.
    conditions
        (N, numbers).
    device
        Where batches are wanted.
    """

    crisp = False  # whether every pixel has one label or none

    def __init__(self, images: torch.Tensor, conditions: torch.Tensor, device: torch.device | str = "cpu") -> None:
        self.images, self.conditions, self.device = images, conditions, torch.device(device)
        self._orders: dict[tuple[int, int], torch.Tensor] = {}
        if self.device.type != "cpu" and images.nbytes < _SHARE * free_bytes(self.device):
            self.images = images.to(self.device)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The images that follow after `seen`: (count, C, …) float32 and their conditions.

        Every epoch has its own order, drawn from seed and epoch; so the order is a function of the images seen.
        """
        positions = range(seen, seen + count)
        orders = {e: self._order(e, seed) for e in {p // len(self) for p in positions}}
        n = len(self)
        parts = [order[max(seen - e * n, 0) : seen + count - e * n] for e, order in sorted(orders.items())]
        index = torch.cat(parts)
        images = self.images[sent(index, self.images.device)]
        return sent(images, self.device).float(), sent(self.conditions[index], self.device)

    def _order(self, epoch: int, seed: int) -> torch.Tensor:
        key = (epoch, seed)
        if key not in self._orders:
            if len(self._orders) > 1:
                self._orders.clear()
            self._orders[key] = torch.randperm(len(self), generator=generator_for(seed, "order", epoch))
        return self._orders[key]


class RealDataset(Dataset):
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
        Where they are shown; they are kept there, in half precision (the store's), if they leave it room enough.
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
        channels, told, subjects = [], [], []
        for part in store.iter_slices(split, size):  # one subject in float32 at a time
            images, fractions = torch.from_numpy(part.images), torch.from_numpy(part.labels)
            channels.append(encoding.encode(images, fractions).half())
            told.append(_told(part, conditions))
            subjects.append(part.subject)
        if not channels:
            raise InputError(f"the store has no slices to {split}; prepare it with another --split")
        images, rows = torch.cat(channels), torch.cat(told)
        del channels
        if mirror is not None:
            images, rows = torch.cat([images, images.flip(mirror)]), torch.cat([rows, rows])
        super().__init__(images, rows, device)
        self.crisp = size == max(store.sizes)
        self.subjects: np.ndarray = np.concatenate(subjects)


def _told(part: Slices, conditions: tuple[Condition, ...]) -> torch.Tensor:
    """What is told beside each slice: (N, numbers)."""
    sources = {"slice_position": part.position}
    rows = [[x for c in conditions for x in c.encode(float(sources[c.name][i]))] for i in range(len(part.images))]
    return torch.tensor(rows, dtype=torch.float32).reshape(len(part.images), -1)
