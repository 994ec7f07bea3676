"""Candidates of a search, and the selection of the best."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_pgan.latent.steering.preserve import Preserve
from napari_pgan.latent.steering.target import Target
from napari_pgan.model import refined_rows

_MAX_COSINE = 0.9  # largest cosine between the latents of two candidates
_MOVED_WEIGHT = 1.0  # score lost if the whole preserved region changes by the whole intensity range


@dataclass(frozen=True)
class Candidates:
    """The best candidates so far, best first.

    Parameters
    ----------
    latents
        (N, L) float32.
    labels
        (N, Y, X) uint8, their segmentations.
    scores
        (N,), see `Target.score`.
    steps
        Number of optimiser steps so far.
    seconds
        Time since the search began.
    moved
        (N,): change of the preserved region (`Preserve.moved`); None if nothing is preserved.
    offsets
        (N, W, y, x) for each refined stage; empty without refinement.
    """

    latents: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    steps: int
    seconds: float
    moved: np.ndarray | None = None
    offsets: tuple[torch.Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def refined(self) -> np.ndarray:
        """(N,) bool: whether the candidate's features were changed."""
        return refined_rows([part.cpu().numpy() for part in self.offsets], len(self))


@dataclass
class _Line:
    """The best candidate of one line of the search."""

    value: float
    score: float
    moved: float
    latent: np.ndarray
    labels: np.ndarray
    offsets: tuple[torch.Tensor, ...]


class Best:
    """Collects the best candidate of each line of a search.

    Parameters
    ----------
    target
        Scores the candidates.
    preserve
        Region whose change lowers a candidate's value; None for no region.
    """

    def __init__(self, target: Target, preserve: Preserve | None) -> None:
        self.target, self.preserve = target, preserve
        self._lines: dict[int, _Line] = {}

    def values(self, labels: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return score minus weighted change of the preserved region, (N,)."""
        return self.target.score(labels) - _MOVED_WEIGHT * self._moved(images)

    def take(
        self,
        names: Iterable[int],
        latents: np.ndarray,
        labels: np.ndarray,
        images: np.ndarray,
        offsets: Sequence[torch.Tensor] = (),
    ) -> None:
        """Add candidates; each replaces its line's best if its value is higher."""
        scores, moved = self.target.score(labels), self._moved(images)
        for row, name in enumerate(names):
            value = float(scores[row] - _MOVED_WEIGHT * moved[row])
            if name not in self._lines or value > self._lines[name].value:
                seen = (latents[row].copy(), labels[row].copy(), tuple(part[row].clone() for part in offsets))
                self._lines[name] = _Line(value, float(scores[row]), float(moved[row]), *seen)

    def candidates(self, count: int, steps: int, began: float) -> Candidates:
        """Return the `count` best lines whose latents differ enough.

        With a preserved region, which keeps latents similar, all lines count as different enough.
        """
        chosen: list[_Line] = []
        for line in sorted(self._lines.values(), key=lambda line: -line.value):
            different = all(_cosine(line.latent, other.latent) <= _MAX_COSINE for other in chosen)
            if len(chosen) < count and (different or self.preserve is not None):
                chosen.append(line)
        return Candidates(
            np.stack([line.latent for line in chosen]),
            np.stack([line.labels for line in chosen]),
            np.array([line.score for line in chosen]),
            steps,
            time.monotonic() - began,
            None if self.preserve is None else np.array([line.moved for line in chosen]),
            tuple(torch.stack(parts) for parts in zip(*(line.offsets for line in chosen), strict=True)),
        )

    def _moved(self, images: np.ndarray) -> np.ndarray:
        return np.zeros(len(images)) if self.preserve is None else self.preserve.moved(images)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
