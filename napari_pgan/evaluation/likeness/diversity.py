"""Variety by structural similarity: how alike are two generated images, beside two real ones of different subjects?

MS-SSIM (Wang et al. 2003) averaged over pairs, as Odena et al. 2017 (arXiv:1610.09585) use it: a model that makes the
same few images over and over has pairs that are more alike than pairs of patients.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_pgan.errors import InputError

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of scales, finest first, as published
_LARGEST_WINDOW = 11
_SMALLEST_WINDOW = 5
_CHUNK = 64


@dataclass(frozen=True)
class Scales:
    """What MS-SSIM looks through at images of one size.

    Parameters
    ----------
    window
        Pixels of a side; a Gaussian of about a seventh of that.
    weights
        Of the scales, finest first; they add up to 1.
    """

    window: int
    weights: tuple[float, ...]

    @property
    def sigma(self) -> float:
        """Standard deviation of the window, in pixels: 1.5 for 11 pixels, as published, and in proportion below."""
        return 1.5 * (self.window - 1) / (_LARGEST_WINDOW - 1)

    def __str__(self) -> str:
        return f"{len(self.weights)} scales, a window of {self.window} pixels"


def scales(shape: tuple[int, int]) -> Scales:
    """The published five scales through 11 pixels where they fit the image (Y, X), else fewer, else a smaller window.

    Raises
    ------
    InputError
        The image is too small for any.
    """
    side = min(shape)
    for window in range(_LARGEST_WINDOW, _SMALLEST_WINDOW - 1, -2):
        for count in range(len(_WEIGHTS), 1, -1):
            # what torchmetrics asks: the image, halved count - 1 times and that squared, is larger than the window
            if side >= 2**count and side // (count - 1) ** 2 > window - 1:
                some = _WEIGHTS[:count]
                return Scales(window, tuple(w / sum(some) for w in some))
    raise InputError(f"images of {shape[0]}×{shape[1]} are too small for MS-SSIM; compare 16×16 at least")


def within(rows: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random pairs of two different ones of `rows`, (count,) each.

    Raises
    ------
    InputError
        There are fewer than two.
    """
    if len(rows) < 2:
        raise InputError(f"{len(rows)} image has no other to be compared with; give two at least")
    first = random.integers(0, len(rows), count)
    second = (first + random.integers(1, len(rows), count)) % len(rows)
    return rows[first], rows[second]


def across(a: np.ndarray, b: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random pairs of one of the rows `a` and one of `b`, (count,) each."""
    return random.choice(a, count), random.choice(b, count)


def similarities(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """MS-SSIM of images with their partners, averaged over modalities.

    Parameters
    ----------
    first, second
        (P, M, Y, X) in [-1, 1].

    Returns
    -------
    numpy.ndarray
        (P,) float64: 1 for equal images, less for any others.

    Raises
    ------
    InputError
        The images are too small (see `scales`).
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    through = scales((first.shape[2], first.shape[3]))
    out = np.empty(len(first))
    for start in range(0, len(first), _CHUNK):
        part = slice(start, start + _CHUNK)
        a, b = (
            torch.from_numpy(x[part].astype(np.float32)).flatten(0, 1)[:, None] + 1  # its means must not be below 0
            for x in (first, second)
        )
        with _plain_convolutions():
            found = multiscale_structural_similarity_index_measure(
                a,
                b,
                sigma=through.sigma,
                kernel_size=through.window,
                reduction="none",
                data_range=2.0,
                betas=through.weights,
                normalize="relu",
            )
        out[part] = found.reshape(-1, first.shape[1]).double().mean(dim=1).numpy()
    return out


@contextlib.contextmanager
def _plain_convolutions() -> Iterator[None]:
    """Without oneDNN, which is three times slower at one channel through a large window."""
    backend: Any = torch.backends.mkldnn
    before = backend.enabled
    backend.enabled = False
    try:
        yield
    finally:
        backend.enabled = before
