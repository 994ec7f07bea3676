"""Sliced Wasserstein distance (SWD) between sets of images with any number of channels.

After Karras et al. 2017 (arXiv:1710.10196, section 5): patches of 7×7 pixels from every level of a Laplacian pyramid
(Burt and Adelson 1983) are points in a space of C·49 dimensions. Two sets of points are compared by the mean
Wasserstein distance of their projections on random directions (Rabin et al. 2011). A small distance at a level means
that the images are alike in structures of that size, and equally varied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.split_half import Comparison, WithBaseline

PATCH = 7
SMALLEST = 16
_IMAGES = 64  # images per chunk
_POINTS = 4096  # patches per chunk
_KEPT_BYTES = 256 * 2**20  # memory for the patches of one set; larger sets are extracted again at each use
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
    """Return the distance between two sets of images at each level.

    Parameters
    ----------
    real, fake
        (N, C, Y, X) and (N′, C, Y, X), including the label channels that should count. Pass volumes as slices.
    patches
        Patches per image. If the sets differ in size, both give as many patches as the smaller one, spread evenly over
        their images.
    projections
        Number of random directions.
    standardise
        ``"each"``: scale each channel to mean 0 and variance 1 within each set, as Karras et al. do. The results can be
        compared with published ones, but a mere change of brightness or contrast gives no distance. ``"pooled"``: use
        the mean and variance of both sets together, which detects brightness and contrast.
    seed
        Seed of patches and directions. The same input and seed give the same result.

    Returns
    -------
    dict
        Level (for example ``"64x64"``) → distance × 10³, finest first, then their ``"mean"``. Levels halve down to 16
        pixels on the shorter side, as long as both sides are even.

    Raises
    ------
    InputError
        The sets differ in channels or size, a set is empty, or an image contains NaN or Inf.
    """
    if real.ndim != 4 or fake.ndim != 4 or real.shape[1:] != fake.shape[1:]:
        raise InputError(f"cannot compare images of shapes {real.shape} and {fake.shape}; pass (N, C, Y, X) for both")
    for name, images in (("real", real), ("generated", fake)):
        if not len(images):
            raise InputError(f"there are no {name} images to compare; pass at least one")
    count = patches * min(len(real), len(fake))
    index = [np.arange(count) * len(real) // count, len(real) + np.arange(count) * len(fake) // count]
    result: dict[str, float] = {}
    parts = ([real], np.arange(len(real))), ([fake], np.arange(len(fake)))
    for level, images in enumerate(_pyramid(_read(*parts), len(real) + len(fake), real.shape[1:], np.float32)):
        clouds = [_Cloud(images, rows, seed, level) for rows in index]
        if standardise == "pooled":
            _pool(clouds)
        distances = _distances(clouds, range(real.shape[1]), [(0, 1)], projections, [seed, level, 1])
        result[_level_name(images)] = float(distances[0])
    result["mean"] = float(np.mean(list(result.values())))
    return result


def swd_with_baseline(
    real: Sequence[np.ndarray],
    generated: Sequence[np.ndarray],
    comparisons: Sequence[Comparison],
    groups: Mapping[str, Sequence[int]],
    *,
    patches: int = 32,
    projections: int = 128,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, dict[str, tuple[float, float]]]]:
    """Return the distances of generated images and of the baseline for several groups of channels.

    The pyramid is built once for all comparisons, and the patches of a set are cut once for all groups. Channels are
    standardised within each set. Details are kept in half precision, far finer than the distances of interest.

    Parameters
    ----------
    real, generated
        Arrays (R, Cᵢ, Y, X) and (F, Cᵢ, Y, X) whose channels are concatenated, such as images and label fractions.
        They are read a few images at a time and may be memory-mapped.
    comparisons
        Rows to compare. Needs 1.5 times the memory of their images in half precision.
    groups
        Name → channels.
    patches
        Patches per image and level.
    projections
        Number of random directions per group.
    seed
        Seed of patches and directions.
    progress
        Called with (done, total).

    Returns
    -------
    list
        For each comparison: group → level (for example ``"64x64"``), finest first, and ``"mean"`` → (distance of the
        model, distance of the baseline) × 10³. See `summarise`.

    Raises
    ------
    InputError
        The sets differ in channels or size, or an image contains NaN or Inf.
    """
    if [x.shape[1:] for x in real] != [x.shape[1:] for x in generated]:
        shapes = ", ".join(str(x.shape) for x in (*real, *generated))
        raise InputError(f"cannot compare images of shapes {shapes}; real and generated ones must be alike")
    real_rows = np.unique(np.concatenate([rows for c in comparisons for rows in (c.other, c.reference)]))
    made_rows = np.unique(np.concatenate([c.generated for c in comparisons]))
    shape = (sum(x.shape[1] for x in real), *real[0].shape[2:])
    found: list[dict[str, dict[str, tuple[float, float]]]] = [{name: {} for name in groups} for _ in comparisons]
    total = len(_level_shapes(*shape[1:])) * len(comparisons)
    chunks = _read((real, real_rows), (generated, made_rows))
    for level, images in enumerate(_pyramid(chunks, len(real_rows) + len(made_rows), shape, np.float16)):
        for done, (comparison, result) in enumerate(zip(comparisons, found, strict=True), 1):
            sets = [
                len(real_rows) + np.searchsorted(made_rows, comparison.generated),
                np.searchsorted(real_rows, comparison.other),
                np.searchsorted(real_rows, comparison.reference),
            ]
            clouds = [_Cloud(images, rows.repeat(patches), seed, level) for rows in sets]
            for number, (group, channels) in enumerate(groups.items()):
                pairs = _distances(clouds, channels, [(0, 2), (1, 2)], projections, [seed, level, 1, number])
                result[group][_level_name(images)] = (float(pairs[0]), float(pairs[1]))
            if progress:
                progress(level * len(comparisons) + done, total)
    for result in found:
        for levels in result.values():
            levels["mean"] = tuple(np.mean(list(levels.values()), axis=0).tolist())
    return found


def summarise(found: Sequence[Mapping[str, Mapping[str, tuple[float, float]]]]) -> dict[str, dict[str, WithBaseline]]:
    """Summarise the result of `swd_with_baseline` over comparisons: group → level → metric."""
    return {
        group: {level: WithBaseline.of(*zip(*(one[group][level] for one in found), strict=True)) for level in levels}
        for group, levels in found[0].items()
    }


class _Cloud:
    """The patches of one set at one level, as points.

    Every set of a level uses the same positions and directions, so the distance between equal sets is 0.
    """

    def __init__(self, images: np.ndarray, index: np.ndarray, seed: int, level: int) -> None:
        _, self.channels, height, width = images.shape
        sides = min(PATCH, height), min(PATCH, width)
        random = np.random.default_rng([seed, level, 0])
        self.pixels, self.index = sides[0] * sides[1], index
        self.rows = random.integers(0, height - sides[0] + 1, len(index))
        self.columns = random.integers(0, width - sides[1] + 1, len(index))
        self.windows = np.lib.stride_tricks.sliding_window_view(images, sides, axis=(2, 3))
        self._kept: list[np.ndarray] | None = None
        if 4 * len(index) * self.channels * self.pixels <= _KEPT_BYTES:
            self._kept = list(self._cut())
        self.mean, self.deviation = self._moments()

    def _cut(self) -> Iterator[np.ndarray]:
        """Yield float32 points in chunks (n, C, pixels)."""
        for start in range(0, len(self.index), _POINTS):
            part = slice(start, start + _POINTS)
            points = self.windows[self.index[part], :, self.rows[part], self.columns[part]]
            yield points.reshape(len(points), self.channels, self.pixels).astype(np.float32, copy=False)

    def _chunks(self) -> Iterable[np.ndarray]:
        return self._cut() if self._kept is None else self._kept

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel, (C,) float64."""
        sums, squares = np.zeros(self.channels), np.zeros(self.channels)
        for points in self._chunks():
            sums += points.sum(axis=(0, 2), dtype=np.float64)
            squares += np.einsum("ncp,ncp->c", points, points, dtype=np.float64)
        count = len(self.index) * self.pixels
        return sums / count, np.sqrt(np.maximum(squares / count - (sums / count) ** 2, 0))

    def project(self, directions: np.ndarray, channels: Sequence[int]) -> np.ndarray:
        """Project standardised points on directions (D, channels, pixels): (D, points) float32."""
        chosen = list(channels)
        step = np.where(self.deviation > 1e-6, self.deviation, 1.0)  # constant channels carry no information
        scaled = directions / step[chosen][:, None]
        shift = (scaled * self.mean[chosen][:, None]).sum(axis=(1, 2)).astype(np.float32)
        flat = scaled.reshape(len(directions), -1).astype(np.float32)
        every = chosen == list(range(self.channels))
        out, start = np.empty((len(directions), len(self.index)), np.float32), 0
        for points in self._chunks():
            some = points if every else points[:, chosen]
            out[:, start : start + len(points)] = flat @ some.reshape(len(points), -1).T
            start += len(points)
        return out - shift[:, None]


def _pool(clouds: list[_Cloud]) -> None:
    """Give two sets of equal size the mean and standard deviation of their union."""
    a, b = clouds
    mean = (a.mean + b.mean) / 2
    variance = (a.deviation**2 + b.deviation**2) / 2 + ((a.mean - b.mean) / 2) ** 2
    for cloud in clouds:
        cloud.mean, cloud.deviation = mean, np.sqrt(variance)


def _distances(
    clouds: Sequence[_Cloud], channels: Sequence[int], pairs: Sequence[tuple[int, int]], count: int, seed: list[int]
) -> np.ndarray:
    """Mean distance × 10³ of pairs of clouds over `count` random directions, (pairs,)."""
    directions = np.random.default_rng(seed).standard_normal((count, len(channels), clouds[0].pixels))
    directions /= np.linalg.norm(directions.reshape(count, -1), axis=1)[:, None, None]
    at_once = max(1, _SORTED_BYTES // (4 * len(clouds[0].index)))
    total = np.zeros(len(pairs))
    for start in range(0, count, at_once):
        projected = [cloud.project(directions[start : start + at_once], channels) for cloud in clouds]
        total += _line_distances(projected, pairs).sum(axis=1)
    return 1000 * total / count


def _line_distances(sets: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Wasserstein-1 distances between the rows of pairs of sets (D, n): (pairs, D) float64.

    Numbers are rounded to 1/65535 of their range, far below the distances of interest: NumPy sorts 16-bit numbers by
    radix, five times as fast as floats.
    """
    distances = np.empty((len(pairs), len(sets[0])))
    for row, lines in enumerate(zip(*sets, strict=True)):  # one row at a time stays in the processor's cache
        low = min(x.min() for x in lines)
        span = float(max(x.max() for x in lines) - low) or 1.0
        rounded = [((x - low) * np.float32(65535 / span) + np.float32(0.5)).astype(np.uint16) for x in lines]
        ranked = [np.sort(x, kind="stable") for x in rounded]
        for pair, (a, b) in enumerate(pairs):
            apart = np.abs(np.subtract(ranked[a], ranked[b], dtype=np.int32)).sum(dtype=np.int64)
            distances[pair, row] = apart * (span / 65535)
    return distances / sets[0].shape[1]


def _read(*parts: tuple[Sequence[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    """Yield rows of real, then of generated images as float32 (n, C, Y, X), the channels of all arrays joined."""
    for name, (arrays, rows) in zip(("real", "generated"), parts, strict=True):
        for start in range(0, len(rows), _IMAGES):
            some = rows[start : start + _IMAGES]
            images = np.concatenate([x[some].astype(np.float32, copy=False) for x in arrays], axis=1)
            if not np.isfinite(images).all():
                raise InputError(f"the {name} images contain NaN or Inf; leave those images out")
            yield images


def _level_name(images: np.ndarray) -> str:
    return f"{images.shape[2]}x{images.shape[3]}"


def _level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    shapes = [(height, width)]
    while min(height, width) >= 2 * SMALLEST and not height % 2 and not width % 2:
        height, width = height // 2, width // 2
        shapes.append((height, width))
    return shapes


def _pyramid(
    chunks: Iterable[np.ndarray], count: int, shape: tuple[int, ...], dtype: type[np.floating]
) -> Iterator[np.ndarray]:
    """Yield the levels (N, C, Y/2ˢ, X/2ˢ) of the Laplacian pyramid, finest first, one in memory at a time.

    Details have the given `dtype`; the low-pass residual, which comes last, is float32.
    """
    *finer, last = _level_shapes(*shape[1:])
    for height, width in finer:
        detail = np.empty((count, shape[0], height, width), dtype)
        smaller = np.empty((count, shape[0], height // 2, width // 2), np.float32)
        start = 0
        for images in chunks:
            part = slice(start, start + len(images))
            smaller[part] = _halve(_halve(images, 2), 3)
            detail[part] = images - _double(_double(smaller[part], 2), 3)
            start = part.stop
        yield detail
        chunks = [smaller[start : start + _IMAGES] for start in range(0, count, _IMAGES)]
    rest, start = np.empty((count, shape[0], *last), np.float32), 0
    for images in chunks:
        rest[start : start + len(images)] = images
        start += len(images)
    yield rest


def _halve(x: np.ndarray, axis: int) -> np.ndarray:
    """Every second sample after the binomial filter (1, 4, 6, 4, 1) / 16, mirrored at the ends."""
    x = np.moveaxis(x, axis, -1)
    padded = np.concatenate([x[..., 2:0:-1], x, x[..., -2:-4:-1]], axis=-1)
    n = x.shape[-1]
    taps = [padded[..., k : k + n : 2] for k in range(5)]
    return np.moveaxis((taps[0] + taps[4] + 4 * (taps[1] + taps[3]) + 6 * taps[2]) / np.float32(16), -1, axis)


def _double(x: np.ndarray, axis: int) -> np.ndarray:
    """Insert zeros between the samples, then apply the same filter times two."""
    x = np.moveaxis(x, axis, -1)
    before = np.concatenate([x[..., 1:2], x[..., :-1]], axis=-1)
    after = np.concatenate([x[..., 1:], x[..., -1:]], axis=-1)
    out = np.empty((*x.shape[:-1], 2 * x.shape[-1]), np.float32)
    out[..., 0::2] = (before + 6 * x + after) / np.float32(8)
    out[..., 1::2] = (x + after) / np.float32(2)
    return np.moveaxis(out, -1, axis)
