"""Images with their label maps, which may lie on disk, and be of several sources as if they were of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Indexed(Protocol):
    """What gives rows of an array by their indices: an array, or `Joined`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Labelled:
    """Images with their label maps.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1], in single or half precision.
    labels
        uint8 (N, Y, X) in the original values.
    subject
        (N,), whose slice it is; None for generated images.
    """

    images: np.ndarray
    labels: np.ndarray
    subject: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


class Joined:
    """Rows of several arrays behind each other, which are read when they are asked for, and never copied as a whole.

    Parameters
    ----------
    parts
        Arrays (n, …), alike but for n.
    picks
        Of each, the rows that count, in their order; a row may come twice.
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
