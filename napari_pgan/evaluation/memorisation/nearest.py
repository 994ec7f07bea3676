"""The nearest training image of every image, subject by subject, with flips: the search behind `memorisation`.

Images are first made comparable (`PixelSimilarity`), so that a copy stays near its original when it was moved, blurred,
flipped or changed in gain, and what all images share counts for nothing.
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
_WAVES = 8  # waves a side that are kept: finer ones are damped to nothing by the low-pass
_BLUR = 1.5 / 32  # standard deviation of the low-pass, as a share of the shorter side
_CHUNK = 1024
_POSES = ((6.0, 1.0), (-6.0, 1.0), (0.0, 1.06), (0.0, 1 / 1.06))  # degrees and zoom: half as much costs little likeness


class PixelSimilarity:
    """Turns images into unit vectors whose products are correlations of what sets an image apart.

    The picture is averaged down to about 32 pixels, moved so that the centre of what is brighter than air lies in the
    middle, and smoothed; then of every modality the cohort's mean picture and the overall brightness are projected out.
    So shifts, gains and mild blur cost little, and common anatomy gives no likeness. What was turned or zoomed a little
    is found by `poses`.

    Parameters
    ----------
    mean
        Mean of `reduced` training images, (M, y, x).
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

    def kept(self, images: np.ndarray) -> np.ndarray:
        """What `poses` takes of images (n, M, Y, X), for later."""
        return reduced(images)

    def poses(self, kept: np.ndarray) -> np.ndarray:
        """Images as they are, then turned and zoomed a little either way: (1 + 4, n, D)."""
        flat = kept.reshape(-1, kept.shape[2] * kept.shape[3])
        turned = [(flat @ matrix).reshape(kept.shape) for matrix in _pose_matrices(kept.shape[2], kept.shape[3])]
        return np.stack([self.vectors(some) for some in (kept, *turned)])

    def vectors(self, small: np.ndarray) -> np.ndarray:
        """The same of images that are `reduced` already."""
        rows = small.reshape(*small.shape[:2], -1)  # (N, M, y·x)
        weights = np.einsum("nmp,mpb->nmb", rows, self._bases)
        return unit((rows - np.einsum("nmb,mpb->nmp", weights, self._bases)).reshape(len(rows), -1))


class FeatureSimilarity:
    """The same for features, each brought to mean 0 and variance 1 over some training images.

    Parameters
    ----------
    features
        (N, M, Y, X) → (N, D).
    images
        Training images, enough to tell mean and variance.
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

    def kept(self, images: np.ndarray) -> np.ndarray:
        """What `poses` takes of images (n, M, Y, X), for later."""
        return self(images)

    def poses(self, kept: np.ndarray) -> np.ndarray:
        """Images as they are, (1, n, D): features that tell images apart see through small turns and zooms."""
        return kept[None]


@dataclass
class Nearest:
    """For every query and every subject that was shown: the subject's most alike image.

    Parameters
    ----------
    correlation
        float32 (queries, subjects).
    slice_index
        int32: which of the subject's images.
    flip
        int8: which of `FLIPS` the query was seen in.
    """

    correlation: np.ndarray
    slice_index: np.ndarray
    flip: np.ndarray


class NearestSearch:
    """Collects the nearest images of queries while subjects pass by.

    Parameters
    ----------
    queries
        Unit vectors (4, N, D), as `PixelSimilarity.flipped` makes them.
    """

    def __init__(self, queries: np.ndarray) -> None:
        self._queries = queries
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def show(self, poses: np.ndarray) -> None:
        """Look at one subject's images, unit vectors (1 + P, n, D).

        The most alike one is sought among the images as they are, and then looked at in its other poses. (To seek among
        all poses finds more that was zoomed, and fewer blurred copies, since new patients come nearer, too.)
        """
        vectors, turned = poses[0], poses[1:]
        flips, count, _ = self._queries.shape
        best = np.full(count, -2.0, np.float32)
        where, how = np.zeros(count, np.int32), np.zeros(count, np.int8)
        for i in range(flips):
            for start in range(0, count, _CHUNK):
                part = slice(start, start + _CHUNK)
                products = self._queries[i, part] @ vectors.T
                index = products.argmax(axis=1)
                value = products[np.arange(len(index)), index]
                nearer = value > best[part]
                best[part][nearer], where[part][nearer], how[part][nearer] = value[nearer], index[nearer], i
        for start in range(0, count if len(turned) else 0, _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, count))
            queries = self._queries[how[rows], rows]
            for others in turned:
                best[rows] = np.maximum(best[rows], np.einsum("qd,qd->q", queries, others[where[rows]]))
        self._found.append((best, where, how))

    def result(self) -> Nearest:
        """What was found, one column a subject in the order in which they were shown."""
        return Nearest(*(np.stack(column, axis=1) for column in zip(*self._found, strict=True)))


@cache
def _pose_matrices(height: int, width: int) -> tuple[np.ndarray, ...]:
    """For each of `_POSES`, what flat images (n, Y·X) are to be multiplied by to be turned and zoomed."""
    pixels = np.eye(height * width).reshape(-1, height, width)
    matrices = []
    for degrees, zoom in _POSES:
        moved = [affine_transform(one, *pose(degrees, zoom, one.shape), order=3, mode="nearest") for one in pixels]
        matrices.append(np.stack(moved).reshape(len(pixels), -1).astype(np.float32))
    return tuple(matrices)


def flip(images: np.ndarray, which: int) -> np.ndarray:
    """A view of (…, Y, X) in one of `FLIPS`."""
    return images[..., :: -1 if which & 2 else 1, :: -1 if which & 1 else 1]


def pose(degrees: float, zoom: float, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset with which `scipy.ndimage.affine_transform` turns and zooms a picture about its middle."""
    angle, middle = np.radians(degrees), (np.array(shape) - 1) / 2
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    return matrix, middle - matrix @ middle


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def distances(correlation: np.ndarray) -> np.ndarray:
    """Of unit vectors with these products."""
    return np.sqrt(2 * np.maximum(1 - correlation, 0)).astype(np.float32)


def reduced(images: np.ndarray) -> np.ndarray:
    """Small, smooth and centred: (N, M, Y, X) → float32 (N, M, y, x), in chunks."""
    return np.concatenate([_reduced(images[start : start + 256]) for start in range(0, len(images), 256)])


def _reduced(images: np.ndarray) -> np.ndarray:
    images = _boxes(images, _factor(images.shape[2:]))
    height, width = images.shape[2:]
    shorter = min(height, width)
    across, down = np.fft.rfftfreq(width), np.fft.fftfreq(height)
    # the shift and the low-pass are done on the waves, and waves that the low-pass damps are not kept at all
    rows, columns = (min(2 * round(_WAVES * n / shorter) + 1, n - 1 + n % 2) for n in (height, width))  # odd
    kept = np.r_[0 : (rows + 1) // 2, height - rows // 2 : height]
    down, across = down[kept][:, None], across[: columns // 2 + 1][None]
    waves = np.fft.rfft2(images + 1)[:, :, kept, : columns // 2 + 1]
    waves = waves * np.exp(-2 * (np.pi * _BLUR * shorter) ** 2 * (down**2 + across**2)) * (rows * columns)
    y, x = _centres(images)
    y = y - (height - height / rows) / 2  # the middle of the pixels that are kept
    x = x - (width - width / columns) / 2
    waves *= np.exp(2j * np.pi * (down * y[:, None, None] + across * x[:, None, None]))[:, None]
    return (np.fft.irfft2(waves, s=(rows, columns)) / (height * width)).astype(np.float32)


def _boxes(images: np.ndarray, factor: int) -> np.ndarray:
    """Means over boxes of factor × factor pixels; rows first, which lie in memory one behind another."""
    images = images.astype(np.float32, copy=False)
    *rest, height, width = images.shape
    rows = images.reshape(*rest, height // factor, factor, width).sum(axis=-2)
    boxes = rows[..., ::factor].copy()
    for i in range(1, factor):
        boxes += rows[..., i::factor]
    return boxes / np.float32(factor**2)


def _centres(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of what is brighter than air, in pixels: y (N,) and x (N,); the middle of an empty image."""
    brightness = images.mean(axis=1) + 1
    weight = np.where(brightness > 0.1, brightness, 0).astype(np.float64) + 1e-9
    total = weight.sum(axis=(1, 2))
    return (
        weight.sum(axis=2) @ np.arange(weight.shape[1]) / total,
        weight.sum(axis=1) @ np.arange(weight.shape[2]) / total,
    )


def _factor(shape: Sequence[int]) -> int:
    """The largest box that divides both sides and leaves `SIZE` pixels on the shorter one; 1 for smaller images."""
    largest = max(1, min(shape) // SIZE)
    return next(factor for factor in range(largest, 0, -1) if not any(n % factor for n in shape))
