"""Nearest-neighbour search among training images, subject by subject and with flips, for `memorisation`.

Images are first normalised (`PixelSimilarity`), so that a shifted, blurred or flipped copy, or one with another gain,
stays close to its original, and structures common to all images are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import affine_transform

Features = Callable[[np.ndarray], np.ndarray]
SubjectImages = Iterable[tuple[np.ndarray, str]]

FLIPS = ("none", "left-right", "up-down", "both")
SIZE = 32  # pixels of the shorter side at which images are compared
_WAVES = 8  # frequencies per side to keep; the low-pass filter removes higher ones
_BLUR = 1.5 / 32  # standard deviation of the low-pass filter, as a share of the shorter side
_CHUNK = 1024
_POSES = (
    (6.0, 1.0),
    (-6.0, 1.0),
    (0.0, 1.06),
    (0.0, 1 / 1.06),
)  # degrees and zoom; half as much changes the correlation little


class PixelSimilarity:
    """Maps images to unit vectors whose dot products are correlations of their distinctive features.

    Images are reduced to about 32 pixels, centred on the foreground, and smoothed; the cohort's mean image and the
    overall brightness are projected out of each modality. Shifts, gains and mild blur then change little, and common
    anatomy adds no similarity. `poses` adds small rotations and zooms.

    Parameters
    ----------
    mean
        Mean of the `reduced` training images, (M, y, x).
    """

    def __init__(self, mean: np.ndarray) -> None:
        flat = mean.reshape(len(mean), -1).astype(np.float64)
        bases = [np.linalg.qr(np.stack([np.ones_like(row), row], axis=1))[0] for row in flat]
        self._bases = np.stack(bases).astype(np.float32)  # (M, y·x, 2)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) → (N, D) float32 of length 1."""
        return self.vectors(reduced(images))

    def flipped(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) → (4, N, D), in the order of `FLIPS`."""
        small = reduced(images)
        return np.stack([self.vectors(flip(small, i)) for i in range(len(FLIPS))])

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Reduce images (n, M, Y, X) to the input of `poses`."""
        return reduced(images)

    def poses(self, prepared: np.ndarray) -> np.ndarray:
        """Vectors of the images as they are, rotated and zoomed: (1 + 4, n, D)."""
        flat = prepared.reshape(-1, prepared.shape[2] * prepared.shape[3])
        matrices = _pose_matrices(prepared.shape[2], prepared.shape[3])
        posed = [(flat @ matrix).reshape(prepared.shape) for matrix in matrices]
        return np.stack([self.vectors(some) for some in (prepared, *posed)])

    def vectors(self, small: np.ndarray) -> np.ndarray:
        """Vectors of `reduced` images."""
        rows = small.reshape(*small.shape[:2], -1)  # (N, M, y·x)
        weights = np.einsum("nmp,mpb->nmb", rows, self._bases)
        return unit((rows - np.einsum("nmb,mpb->nmp", weights, self._bases)).reshape(len(rows), -1))


class FeatureSimilarity:
    """Maps images to unit vectors of features, each scaled to mean 0 and variance 1 over training images.

    Parameters
    ----------
    features
        (N, M, Y, X) → (N, D).
    images
        Training images that give mean and variance.
    """

    def __init__(self, features: Features, images: np.ndarray) -> None:
        self._features = features
        known = np.asarray(features(np.asarray(images, np.float32)), np.float32)
        self._mean = known.mean(axis=0)
        self._scale = np.maximum(known.std(axis=0), 1e-6 + 1e-3 * known.std())

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) → (N, D) float32 of length 1."""
        chunks = (images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK))
        parts = [self._features(np.ascontiguousarray(chunk, np.float32)) for chunk in chunks]
        return unit((np.concatenate(parts).astype(np.float32) - self._mean) / self._scale)

    def flipped(self, images: np.ndarray) -> np.ndarray:
        """(N, M, Y, X) → (4, N, D), in the order of `FLIPS`."""
        return np.stack([self(flip(images, i)) for i in range(len(FLIPS))])

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Reduce images (n, M, Y, X) to the input of `poses`."""
        return self(images)

    def poses(self, prepared: np.ndarray) -> np.ndarray:
        """Vectors of the images as they are, (1, n, D): features change little with small rotations and zooms."""
        return prepared[None]


@dataclass
class Nearest:
    """The most similar image of every subject for every query.

    Parameters
    ----------
    correlation
        float32 (queries, subjects).
    slice_index
        int32: index of the subject's image.
    flip
        int8: index of the query's flip in `FLIPS`.
    """

    correlation: np.ndarray
    slice_index: np.ndarray
    flip: np.ndarray


class NearestSearch:
    """Find the nearest images of queries while subjects are added one by one.

    Parameters
    ----------
    queries
        Unit vectors (4, N, D), from `PixelSimilarity.flipped`.
    """

    def __init__(self, queries: np.ndarray) -> None:
        self._queries = queries
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add_subject(self, poses: np.ndarray) -> None:
        """Compare with the images of one subject, unit vectors (1 + P, n, D).

        The most similar image is found without poses, then compared in all poses. Searching all poses would find more
        zoomed copies, but fewer blurred ones, since new subjects would get closer too.
        """
        vectors, posed = poses[0], poses[1:]
        flips, count, _ = self._queries.shape
        best = np.full(count, -2.0, np.float32)
        best_slice, best_flip = np.zeros(count, np.int32), np.zeros(count, np.int8)
        for i in range(flips):
            for start in range(0, count, _CHUNK):
                part = slice(start, start + _CHUNK)
                products = self._queries[i, part] @ vectors.T
                index = products.argmax(axis=1)
                value = products[np.arange(len(index)), index]
                nearer = value > best[part]
                best[part][nearer], best_slice[part][nearer], best_flip[part][nearer] = value[nearer], index[nearer], i
        for start in range(0, count if len(posed) else 0, _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, count))
            queries = self._queries[best_flip[rows], rows]
            for others in posed:
                best[rows] = np.maximum(best[rows], np.einsum("qd,qd->q", queries, others[best_slice[rows]]))
        self._found.append((best, best_slice, best_flip))

    def result(self) -> Nearest:
        """One column per subject, in the order of `add_subject`."""
        return Nearest(*(np.stack(column, axis=1) for column in zip(*self._found, strict=True)))


@cache
def _pose_matrices(height: int, width: int) -> tuple[np.ndarray, ...]:
    """One matrix per pose, to multiply flat images (n, Y·X) with."""
    pixels = np.eye(height * width).reshape(-1, height, width)
    matrices = []
    for degrees, zoom in _POSES:
        moved = [affine_transform(one, *pose(degrees, zoom, one.shape), order=3, mode="nearest") for one in pixels]
        matrices.append(np.stack(moved).reshape(len(pixels), -1).astype(np.float32))
    return tuple(matrices)


def flip(images: np.ndarray, which: int) -> np.ndarray:
    """Return a view of (…, Y, X), flipped by an index of `FLIPS`."""
    return images[..., :: -1 if which & 2 else 1, :: -1 if which & 1 else 1]


def pose(degrees: float, zoom: float, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix and offset of `scipy.ndimage.affine_transform` to rotate and zoom an image about its centre."""
    angle, middle = np.radians(degrees), (np.array(shape) - 1) / 2
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    return matrix, middle - matrix @ middle


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1; rows of zeros are unchanged."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def distances(correlation: np.ndarray) -> np.ndarray:
    """Return the distances of unit vectors with these dot products."""
    return np.sqrt(2 * np.maximum(1 - correlation, 0)).astype(np.float32)


def reduced(images: np.ndarray) -> np.ndarray:
    """Downscale, smooth and centre images: (N, M, Y, X) → float32 (N, M, y, x)."""
    return np.concatenate([_reduced(images[start : start + 256]) for start in range(0, len(images), 256)])


def _reduced(images: np.ndarray) -> np.ndarray:
    images = _boxes(images, _factor(images.shape[2:]))
    height, width = images.shape[2:]
    shorter = min(height, width)
    across, down = np.fft.rfftfreq(width), np.fft.fftfreq(height)
    # shift and low-pass filter in the frequency domain; frequencies that the filter removes are dropped
    rows, columns = (min(2 * round(_WAVES * n / shorter) + 1, n - 1 + n % 2) for n in (height, width))  # odd
    frequencies = np.r_[0 : (rows + 1) // 2, height - rows // 2 : height]
    down, across = down[frequencies][:, None], across[: columns // 2 + 1][None]
    waves = np.fft.rfft2(images + 1)[:, :, frequencies, : columns // 2 + 1]
    waves = waves * np.exp(-2 * (np.pi * _BLUR * shorter) ** 2 * (down**2 + across**2)) * (rows * columns)
    y, x = _centres(images)
    y = y - (height - height / rows) / 2  # centre of the remaining pixels
    x = x - (width - width / columns) / 2
    waves *= np.exp(2j * np.pi * (down * y[:, None, None] + across * x[:, None, None]))[:, None]
    return (np.fft.irfft2(waves, s=(rows, columns)) / (height * width)).astype(np.float32)


def _boxes(images: np.ndarray, factor: int) -> np.ndarray:
    """Average boxes of factor × factor pixels, rows first, since they are contiguous in memory."""
    images = images.astype(np.float32, copy=False)
    *rest, height, width = images.shape
    rows = images.reshape(*rest, height // factor, factor, width).sum(axis=-2)
    boxes = rows[..., ::factor].copy()
    for i in range(1, factor):
        boxes += rows[..., i::factor]
    return boxes / np.float32(factor**2)


def _centres(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the foreground in pixels, y (N,) and x (N,); the middle of an empty image."""
    brightness = images.mean(axis=1) + 1
    weight = np.where(brightness > 0.1, brightness, 0).astype(np.float64) + 1e-9
    total = weight.sum(axis=(1, 2))
    return (
        weight.sum(axis=2) @ np.arange(weight.shape[1]) / total,
        weight.sum(axis=1) @ np.arange(weight.shape[2]) / total,
    )


def _factor(shape: Sequence[int]) -> int:
    """Largest box that divides both sides and leaves at least `SIZE` pixels; 1 for smaller images."""
    largest = max(1, min(shape) // SIZE)
    return next(factor for factor in range(largest, 0, -1) if not any(n % factor for n in shape))
