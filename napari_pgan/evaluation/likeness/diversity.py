"""Variety by structural similarity: are two generated images more alike than two real ones of different subjects?

MS-SSIM (Wang et al. 2003) averaged over random pairs, as in Odena et al. 2017 (arXiv:1610.09585): pairs of a model that
generates few distinct images are more similar than pairs of subjects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_pgan.errors import InputError

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, finest first, as published
_LARGEST_WINDOW = 11
_SMALLEST_WINDOW = 5
_CHUNK = 64


@dataclass(frozen=True)
class Scales:
    """Settings of MS-SSIM for one image size.

    Parameters
    ----------
    window
        Side of the window in pixels.
    weights
        Weights of the scales, finest first; their sum is 1.
    """

    window: int
    weights: tuple[float, ...]

    @property
    def sigma(self) -> float:
        """Standard deviation of the window in pixels: 1.5 for 11 pixels, as published, and in proportion below."""
        return 1.5 * (self.window - 1) / (_LARGEST_WINDOW - 1)

    def __str__(self) -> str:
        return f"{len(self.weights)} scales, a window of {self.window} pixels"


def scales(shape: tuple[int, int]) -> Scales:
    """Return the published five scales and 11-pixel window, or fewer scales, or a smaller window for small images.

    Raises
    ------
    InputError
        The image (Y, X) is too small for any.
    """
    side = min(shape)
    for window in range(_LARGEST_WINDOW, _SMALLEST_WINDOW - 1, -2):
        for count in range(len(_WEIGHTS), 1, -1):
            # condition of torchmetrics: the side, divided by (count - 1)², is at least the window
            if side >= 2**count and side // (count - 1) ** 2 > window - 1:
                some = _WEIGHTS[:count]
                return Scales(window, tuple(w / sum(some) for w in some))
    raise InputError(f"images of {shape[0]}×{shape[1]} are too small for MS-SSIM; at least 16×16 is needed")


def pairs_within(rows: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw random pairs of distinct rows, (count,) each.

    Raises
    ------
    InputError
        There are fewer than two rows.
    """
    if len(rows) < 2:
        raise InputError(f"{len(rows)} image cannot form a pair; pass at least two")
    first = random.integers(0, len(rows), count)
    second = (first + random.integers(1, len(rows), count)) % len(rows)
    return rows[first], rows[second]


def pairs_across(
    a: np.ndarray, b: np.ndarray, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw random pairs of one row of `a` and one of `b`, (count,) each."""
    return random.choice(a, count), random.choice(b, count)


def ms_ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return MS-SSIM of pairs of images, averaged over modalities.

    Parameters
    ----------
    first, second
        (P, M, Y, X) in [-1, 1].

    Returns
    -------
    numpy.ndarray
        (P,) float64: 1 for equal images, less for others.

    Raises
    ------
    InputError
        The images are too small (see `scales`).
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    settings = scales((first.shape[2], first.shape[3]))
    out = np.empty(len(first))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        a, b = (
            torch.from_numpy(x[part].astype(np.float32)).flatten(0, 1)[:, None] + 1  # means must not be negative
            for x in (first, second)
        )
        with _without_onednn():
            found = multiscale_structural_similarity_index_measure(
                a,
                b,
                sigma=settings.sigma,
                kernel_size=settings.window,
                reduction="none",
                data_range=2.0,
                betas=settings.weights,
                normalize="relu",
            )
        out[part] = found.reshape(-1, first.shape[1]).double().mean(dim=1).numpy()
    return out


@contextlib.contextmanager
def _without_onednn() -> Iterator[None]:
    """Turn oneDNN off inside the block: it is three times slower for one channel and a large window."""
    backend: Any = torch.backends.mkldnn  # its own context manager warns about TF32
    before, backend.enabled = backend.enabled, False
    try:
        yield
    finally:
        backend.enabled = before
