"""The images of a cohort on the training device, and the order in which they are shown."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_pgan.errors import InputError
from napari_pgan.model import Condition, Encoding
from napari_pgan.store import Store
from napari_pgan.training.device import free_bytes, to_device
from napari_pgan.training.randomness import generator_for

_SHARE = 0.5  # of a GPU's free memory that the images may take


class Dataset:
    """Images with their conditions, shown in random order.

    Parameters
    ----------
    images
        (N, C, …) in half precision. They are stored on the device if they take less than half of its free memory.
    conditions
        (N, K).
    device
        Where to return batches.
    """

    crisp = False  # whether all label channels are exactly ±1

    def __init__(self, images: Tensor, conditions: Tensor, device: torch.device | str = "cpu") -> None:
        self.images, self.conditions, self.device = images, conditions, torch.device(device)
        self._orders: dict[tuple[int, int], Tensor] = {}
        if self.device.type != "cpu" and images.nbytes < _SHARE * free_bytes(self.device):
            self.images = images.to(self.device)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, seen: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the next images after `seen`, (count, C, …) in float32, and their conditions.

        The order within an epoch is drawn from seed and epoch, so it is a function of the images seen.
        """
        positions = range(seen, seen + count)
        orders = {e: self._order(e, seed) for e in {p // len(self) for p in positions}}
        n = len(self)
        parts = [order[max(seen - e * n, 0) : seen + count - e * n] for e, order in sorted(orders.items())]
        index = torch.cat(parts)
        images = self.images[to_device(index, self.images.device)]
        return to_device(images, self.device).float(), to_device(self.conditions[index], self.device)

    def _order(self, epoch: int, seed: int) -> Tensor:
        key = (epoch, seed)
        if key not in self._orders:
            if len(self._orders) > 1:
                self._orders.clear()
            self._orders[key] = torch.randperm(len(self), generator=generator_for(seed, "order", epoch))
        return self._orders[key]


class RealDataset(Dataset):
    """All slices of a split, with `size` pixels along the last axis, encoded as channels.

    `mirror` is the axis, counted from the last, along which to add a mirrored copy of each slice; None for no copies.
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
        channels, encoded_parts, subjects = [], [], []
        for part in store.iter_slices(split, size):  # one subject in float32 at a time
            images, fractions = torch.from_numpy(part.images), torch.from_numpy(part.labels)
            channels.append(encoding.encode(images, fractions).half())
            encoded_parts.append(encode_positions(part.position, conditions))
            subjects.append(part.subject)
        if not channels:
            raise InputError(f"the store has no slices in the split {split!r}; prepare it with another --split")
        images, encoded = torch.cat(channels), torch.cat(encoded_parts)
        del channels
        if mirror is not None:
            images, encoded = torch.cat([images, images.flip(mirror)]), torch.cat([encoded, encoded])
        super().__init__(images, encoded, device)
        self.crisp = size == max(store.sizes)
        self.subjects: np.ndarray = np.concatenate(subjects)


def encode_positions(positions: np.ndarray, conditions: tuple[Condition, ...]) -> Tensor:
    """Return the conditions (N, K) of slices, from their positions: ``slice_position`` is the only condition."""
    rows = [[x for c in conditions for x in c.encode(float(position))] for position in positions]
    return torch.tensor(rows, dtype=torch.float32).reshape(len(positions), -1)
