"""Images with label maps, which may be memory-mapped or combined from several sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Indexed(Protocol):
    """Anything that is indexed by rows: an array, or `Joined`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Labelled:
    """Images with label maps.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1], in single or half precision.
    labels
        uint8 (N, Y, X), label values.
    subject
        (N,), the subject of each image; None for generated images.
    """

    images: np.ndarray
    labels: np.ndarray
    subject: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


class Joined:
    """Selected rows of several arrays, concatenated; they are read on access and never copied as a whole.

    Parameters
    ----------
    parts
        Arrays (n, …) that differ only in n.
    picks
        Rows of each array, in order; rows may repeat.
    """

    def __init__(self, parts: Sequence[np.ndarray], picks: Sequence[np.ndarray]) -> None:
        self._parts, self._row = parts, np.concatenate(picks)
        self._part = np.repeat(np.arange(len(parts)), [len(pick) for pick in picks])
        self.shape = (len(self._row), *parts[0].shape[1:])

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), np.result_type(*self._parts))
        for i, part in enumerate(self._parts):
            mine = np.flatnonzero(self._part[rows] == i)
            out[mine] = part[self._row[rows[mine]]]
        return out
