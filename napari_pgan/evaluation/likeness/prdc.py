"""Fidelity and variety as separate metrics: precision, recall, density and coverage of generated features.

Improved precision and recall after Kynkäänniemi et al. 2019 (arXiv:1904.06991); density and coverage after Naeem et al.
2020 (arXiv:2002.09797). The ball of an image reaches to its k-th nearest neighbour in its own set:

- precision: share of generated images within a real ball; recall: share of real images within a generated ball.
- density: average number of real balls around a generated image, divided by k (1 for equal distributions; less
  sensitive to outliers among real images than precision); coverage: share of real balls that contain a generated image.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.features import check_features

NEAREST = 5
_CHUNK_BYTES = 32 * 2**20


def prdc(generated: np.ndarray, real: np.ndarray, nearest: int = NEAREST) -> dict[str, float]:
    """Return precision, recall, density and coverage.

    Parameters
    ----------
    generated, real
        Features (N, D) and (N′, D) of one encoder. All metrics depend on N and N′; compare only at equal numbers.
    nearest
        k, the neighbour that gives the radius of a ball.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``coverage`` in [0, 1]; ``density`` ≥ 0, about 1 at best. Higher is better.

    Raises
    ------
    InputError
        A set has no more than k images, or the sets differ in features.
    """
    check_features(generated, real)
    least = min(len(generated), len(real))
    if least <= nearest:
        raise InputError(f"{least} images are too few for {nearest} nearest neighbours; pass at least {nearest + 1}")
    generated, real = generated.astype(np.float64), real.astype(np.float64)
    centre = real.mean(axis=0)  # squares lose no precision near 0
    generated, real = generated - centre, real - centre
    real_radii, generated_radii = _radii(real, nearest), _radii(generated, nearest)
    inside = np.zeros(len(generated), np.int64)  # real balls that contain the generated image
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, squares in _squares(real, generated):
        within = squares < real_radii[rows, None]
        inside += within.sum(axis=0)
        covered[rows] = within.any(axis=1)
        recalled[rows] = (squares < generated_radii[None, :]).any(axis=1)
    return {
        "precision": float((inside > 0).mean()),
        "recall": float(recalled.mean()),
        "density": float(inside.mean()) / nearest,
        "coverage": float(covered.mean()),
    }


def _radii(features: np.ndarray, nearest: int) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row, (N,)."""
    radii = np.empty(len(features))
    for rows, squares in _squares(features, features):
        own = np.arange(rows.start, rows.stop)
        squares[own - rows.start, own] = 0.0  # despite rounding, a row is the nearest to itself
        radii[rows] = np.partition(squares, nearest, axis=1)[:, nearest]
    return radii


def _squares(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances between rows of `a` and `b`, in chunks of `a` to limit memory."""
    some = max(1, _CHUNK_BYTES // (8 * len(b)))
    lengths = np.einsum("nd,nd->n", b, b)
    for start in range(0, len(a), some):
        rows = slice(start, min(start + some, len(a)))
        squares = np.einsum("nd,nd->n", a[rows], a[rows])[:, None] + lengths - 2 * (a[rows] @ b.T)
        yield rows, np.maximum(squares, 0.0)
