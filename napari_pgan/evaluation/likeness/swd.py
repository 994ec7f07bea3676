"""Sliced Wasserstein distance between two sets of images of any number of channels.

After Karras et al. 2017 (arXiv:1710.10196, section 5): patches of 7×7 from every level of a Laplacian pyramid (Burt and
Adelson 1983) are points in a space of C·49 dimensions; the two clouds are compared by the mean distance of their sorted
projections on random directions (Rabin et al. 2011). A small distance at a level says that the images are alike in
structure of that size, variety included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from napari_pgan.errors import InputError

PATCH = 7
SMALLEST = 16
_CHUNK = 4096  # descriptors at once
_KEPT_BYTES = 256 * 2**20
_SORTED_BYTES = 64 * 2**20

Standardisation = Literal["each", "pooled"]


def sliced_wasserstein(
    real: np.ndarray,
    fake: np.ndarray,
    *,
    patches: int = 128,
    projections: int = 512,
    standardise: Standardisation = "each",
    seed: int = 0,
) -> dict[str, float]:
    """Compare two sets of images, level by level.

    Parameters
    ----------
    real, fake
        (N, C, Y, X) and (N′, C, Y, X), label channels included where they shall count. Of volumes, give slices.
    patches
        Patches an image. When the sets differ in number, each gives as many patches in all as the smaller one has,
        spread evenly over its images.
    projections
        Random directions.
    standardise
        ``"each"``: a channel's patches are brought to mean 0 and variance 1 in each set by itself, as Karras et al. do;
        figures compare with the literature's, but a set that is merely brighter or flatter than the other shows no
        distance. ``"pooled"``: by the mean and variance of both sets together, which sees brightness and contrast.
    seed
        Decides patches and directions; equal input and seed give equal figures.

    Returns
    -------
    dict
        Level, such as ``"64x64"``, → distance × 10³, finest first; and their ``"mean"``. Levels halve down to 16 pixels
        on the shorter side (or as long as both sides are even); smaller images have one level.

    Raises
    ------
    InputError
        The sets do not have the same channels and size, one is empty, or holds NaN or Inf.
    """
    _refuse(real, fake)
    result: dict[str, float] = {}
    count = patches * min(len(real), len(fake))
    for level, (a, b) in enumerate(zip(_laplacian_pyramid(real), _laplacian_pyramid(fake), strict=True)):
        # both sets are looked at in the same places and directions, so equal sets are at distance 0
        clouds = [_Cloud(images, count, np.random.default_rng([seed, level, 0])) for images in (a, b)]
        scales = [cloud.moments() for cloud in clouds]
        if standardise == "pooled":
            scales = [_pooled(scales)] * 2
        directions = np.random.default_rng([seed, level, 1]).standard_normal((projections, clouds[0].dimensions))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        at_once = max(1, _SORTED_BYTES // (4 * count))
        total = 0.0
        for start in range(0, projections, at_once):
            some = directions[start : start + at_once]
            total += float(_line_distances(*(c.project(some, *s) for c, s in zip(clouds, scales, strict=True))).sum())
        result[f"{a.shape[2]}x{a.shape[3]}"] = 1000 * total / projections
    result["mean"] = float(np.mean(list(result.values())))
    return result


def floor(
    images: np.ndarray,
    subjects: np.ndarray,
    *,
    halvings: int = 5,
    count: int | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """The distance between real images of some subjects and real images of others: what a perfect model would reach.

    Parameters
    ----------
    images
        (N, C, Y, X).
    subjects
        (N,), whose image it is; a subject's images all fall into one half.
    halvings
        Into how many random pairs of halves the subjects are parted, one after another.
    count
        Images taken from a half at most. The distance falls with the number of images, so compare a model's only
        with a floor at the same number.
    seed, options
        As in `sliced_wasserstein`.

    Returns
    -------
    dict
        ``mean`` over the halvings, ``low`` and ``high`` (their 5th and 95th percentile), ``levels`` (level → mean),
        ``halvings`` and ``images`` (the smaller half's number of images, averaged).

    Raises
    ------
    InputError
        There are fewer than two subjects.
    """
    names = np.unique(subjects)
    if len(names) < 2:
        raise InputError(f"{len(names)} subject cannot be parted into halves; the floor needs two subjects at least")
    rng = np.random.default_rng(seed)
    every, sizes = [], []
    for halving in range(halvings):
        first = np.isin(subjects, rng.permutation(names)[: len(names) // 2])
        halves = [rng.permutation(np.flatnonzero(chosen))[:count] for chosen in (first, ~first)]
        sizes.append(min(len(half) for half in halves))
        a, b = (images[np.sort(half)] for half in halves)
        every.append(sliced_wasserstein(a, b, seed=seed + halving, **options))
    means = [one["mean"] for one in every]
    return {
        "mean": float(np.mean(means)),
        "low": float(np.percentile(means, 5)),
        "high": float(np.percentile(means, 95)),
        "levels": {level: float(np.mean([one[level] for one in every])) for level in every[0] if level != "mean"},
        "halvings": halvings,
        "images": float(np.mean(sizes)),
    }


class _Cloud:
    """Patches of one level as points: kept in memory while they are few, cut out anew at each use when many."""

    def __init__(self, images: np.ndarray, count: int, rng: np.random.Generator) -> None:
        n, channels, height, width = images.shape
        self.patch = (min(PATCH, height), min(PATCH, width))
        self.windows = np.lib.stride_tricks.sliding_window_view(images, self.patch, axis=(2, 3))
        self.index = np.arange(count) * n // count
        self.rows = rng.integers(0, height - self.patch[0] + 1, count)
        self.columns = rng.integers(0, width - self.patch[1] + 1, count)
        self.channels, self.dimensions = channels, channels * self.patch[0] * self.patch[1]
        self._kept: list[np.ndarray] | None = None
        if 4 * count * self.dimensions <= _KEPT_BYTES:
            self._kept = list(self._cut())

    def _cut(self) -> Iterator[np.ndarray]:
        """Points in chunks of (n, C·7·7)."""
        for start in range(0, len(self.index), _CHUNK):
            part = slice(start, start + _CHUNK)
            points = self.windows[self.index[part], :, self.rows[part], self.columns[part]]
            yield points.reshape(len(points), -1)

    def _chunks(self) -> Iterator[np.ndarray]:
        return iter(self._kept) if self._kept is not None else self._cut()

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel over all points, (C,) float64."""
        sums, squares, count = np.zeros(self.channels), np.zeros(self.channels), 0
        for points in self._chunks():
            pixels = points.reshape(len(points), self.channels, -1)
            sums += pixels.sum(axis=(0, 2), dtype=np.float64)
            squares += np.einsum("ncp,ncp->c", pixels, pixels, dtype=np.float64)
            count += len(points) * pixels.shape[2]
        mean = sums / count
        return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))

    def project(self, directions: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
        """Standardised points on directions (D, dimensions): (D, points) float32."""
        pixels = self.patch[0] * self.patch[1]
        step = np.where(deviation > 1e-6, deviation, 1.0)  # a channel that is constant says nothing
        scaled = directions / step.repeat(pixels)
        shift = scaled @ mean.repeat(pixels)
        scaled, out = scaled.astype(np.float32), np.empty((len(directions), len(self.index)), np.float32)
        start = 0
        for points in self._chunks():
            out[:, start : start + len(points)] = scaled @ points.T
            start += len(points)
        return out - shift[:, None].astype(np.float32)


def _line_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Wasserstein-1 distances of rows (D, n) of numbers on a line: (D,) float64.

    Numbers are rounded to 1/65535 of their range, far below the distances of interest, since NumPy sorts 16-bit numbers
    by radix, five times as fast as floats.
    """
    return distances_on_lines([a, b], [(0, 1)])[0]


def distances_on_lines(sets: Sequence[np.ndarray], compared: Sequence[tuple[int, int]]) -> np.ndarray:
    """The same of some pairs of several sets (D, n), each of which is sorted once: (pairs, D) float64."""
    distances = np.empty((len(compared), len(sets[0])))
    for row, lines in enumerate(zip(*sets, strict=True)):  # a row at a time stays in the processor's cache
        low = min(x.min() for x in lines)
        span = float(max(x.max() for x in lines) - low) or 1.0
        places = [((x - low) * np.float32(65535 / span) + np.float32(0.5)).astype(np.uint16) for x in lines]
        ranked = [np.sort(x, kind="stable") for x in places]
        for pair, (a, b) in enumerate(compared):
            apart = np.abs(np.subtract(ranked[a], ranked[b], dtype=np.int32)).sum(dtype=np.int64)
            distances[pair, row] = apart * (span / 65535)
    return distances / sets[0].shape[1]


def _pooled(scales: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    (mean_a, deviation_a), (mean_b, deviation_b) = scales
    variance = (deviation_a**2 + deviation_b**2) / 2 + ((mean_a - mean_b) / 2) ** 2
    return (mean_a + mean_b) / 2, np.sqrt(variance)


def _laplacian_pyramid(images: np.ndarray) -> Iterator[np.ndarray]:
    """Levels (N, C, Y/2ˢ, X/2ˢ), finest first; the last is the low-pass rest. One is in memory at a time."""
    images = np.asarray(images, np.float32)
    while can_halve(images.shape):
        detail, images = halved(images)
        yield detail
    yield images


def can_halve(shape: tuple[int, ...]) -> bool:
    """Whether images (N, C, Y, X) have a level below them."""
    return min(shape[2:]) >= 2 * SMALLEST and not shape[2] % 2 and not shape[3] % 2


def halved(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The detail that float32 images (N, C, Y, X) lose when they are halved, and the halves."""
    smaller = _halve(_halve(images, 2), 3)
    return images - _double(_double(smaller, 2), 3), smaller


def _halve(x: np.ndarray, axis: int) -> np.ndarray:
    """Every second sample after the binomial filter (1, 4, 6, 4, 1) / 16, mirrored at the ends."""
    x = np.moveaxis(x, axis, -1)
    padded = np.concatenate([x[..., 2:0:-1], x, x[..., -2:-4:-1]], axis=-1)
    n = x.shape[-1]
    taps = [padded[..., k : k + n : 2] for k in range(5)]
    return np.moveaxis((taps[0] + taps[4] + 4 * (taps[1] + taps[3]) + 6 * taps[2]) / np.float32(16), -1, axis)


def _double(x: np.ndarray, axis: int) -> np.ndarray:
    """Zeros between the samples, then the same filter times two."""
    x = np.moveaxis(x, axis, -1)
    before = np.concatenate([x[..., 1:2], x[..., :-1]], axis=-1)
    after = np.concatenate([x[..., 1:], x[..., -1:]], axis=-1)
    out = np.empty((*x.shape[:-1], 2 * x.shape[-1]), np.float32)
    out[..., 0::2] = (before + 6 * x + after) / np.float32(8)
    out[..., 1::2] = (x + after) / np.float32(2)
    return np.moveaxis(out, -1, axis)


def _refuse(real: np.ndarray, fake: np.ndarray) -> None:
    if real.ndim != 4 or fake.ndim != 4 or real.shape[1:] != fake.shape[1:]:
        raise InputError(f"images of shape {real.shape} and {fake.shape} cannot be compared; give (N, C, Y, X) alike")
    for name, images in (("real", real), ("generated", fake)):
        if len(images) == 0:
            raise InputError(f"there are no {name} images to compare; give one at least")
        if not np.isfinite(images).all():
            raise InputError(f"the {name} images hold NaN or Inf; leave those images out")
