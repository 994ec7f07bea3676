"""What a search has found."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_pgan.latent.steering.preserve import Preserve
from napari_pgan.latent.steering.target import Target
from napari_pgan.model import refined_rows

_APART = 0.9  # the largest cosine between latents of two candidates
_MOVED = 1.0  # what a move of all of the image by its whole range costs of a score


@dataclass(frozen=True)
class Candidates:
    """The best so far, the best first.

    Parameters
    ----------
    latents
        (N, L) float32.
    labels
        (N, Y, X) uint8, the segmentations that they draw.
    scores
        (N,), as the target's `score` has it.
    steps
        Done so far.
    seconds
        Since the search began.
    moved
        (N,): how far what was to stay has moved (`Preserve.moved`); None if nothing was to stay.
    offsets
        (N, W, y, x) for each of the first stages, of candidates that were refined; none of others.
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
        """(N,) bool: of which candidates features were moved."""
        return refined_rows([part.cpu().numpy() for part in self.offsets], len(self))


@dataclass
class _Line:
    """The best that one line of a search has come by."""

    value: float
    score: float
    moved: float
    latent: np.ndarray
    labels: np.ndarray
    offsets: tuple[torch.Tensor, ...]


class Best:
    """The best of each line of a search.

    Parameters
    ----------
    target
        What scores.
    preserve
        What was to stay; what it moved counts against a candidate.
    """

    def __init__(self, target: Target, preserve: Preserve | None) -> None:
        self.target, self.preserve = target, preserve
        self._lines: dict[int, _Line] = {}

    def values(self, labels: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Of candidates, (N,): their score less what moved."""
        return self.target.score(labels) - _MOVED * self._moved(images)

    def take(
        self,
        names: Iterable[int],
        latents: np.ndarray,
        labels: np.ndarray,
        images: np.ndarray,
        offsets: Sequence[torch.Tensor] = (),
    ) -> None:
        """See candidates, and preserve those that are the best of their line."""
        scores, moved = self.target.score(labels), self._moved(images)
        for row, name in enumerate(names):
            value = float(scores[row] - _MOVED * moved[row])
            if name not in self._lines or value > self._lines[name].value:
                seen = (latents[row].copy(), labels[row].copy(), tuple(part[row].clone() for part in offsets))
                self._lines[name] = _Line(value, float(scores[row]), float(moved[row]), *seen)

    def candidates(self, count: int, steps: int, began: float) -> Candidates:
        """The best so many, kept apart unless something is to stay, which keeps candidates alike."""
        lines = sorted(self._lines.values(), key=lambda line: -line.value)
        apart = 1.1 if self.preserve is not None else _APART
        kept: list[_Line] = []
        for line in lines:
            if len(kept) < count and all(_cosine(line.latent, other.latent) <= apart for other in kept):
                kept.append(line)
        return Candidates(
            np.stack([line.latent for line in kept]),
            np.stack([line.labels for line in kept]),
            np.array([line.score for line in kept]),
            steps,
            time.monotonic() - began,
            None if self.preserve is None else np.array([line.moved for line in kept]),
            tuple(torch.stack(parts) for parts in zip(*(line.offsets for line in kept), strict=True)),
        )

    def _moved(self, images: np.ndarray) -> np.ndarray:
        return np.zeros(len(images)) if self.preserve is None else self.preserve.moved(images)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
