"""Fidelity and variety apart: precision and recall, density and coverage of generated features among real ones.

Improved precision and recall after Kynkäänniemi et al. 2019 (arXiv:1904.06991); density and coverage after Naeem et al.
2020 (arXiv:2002.09797). Around each image lies a ball that reaches to its k-th nearest neighbour in its own set:

- precision: the share of generated images within a real ball; recall: of real images within a generated ball.
- density: in how many real balls a generated image lies, over k (1 is expected of equal distributions; outliers among
  the real ones count less than in precision); coverage: the share of real balls that hold a generated image.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_pgan.errors import InputError

NEAREST = 5
_CHUNK_BYTES = 32 * 2**20


def prdc(generated: np.ndarray, real: np.ndarray, nearest: int = NEAREST) -> dict[str, float]:
    """Precision, recall, density and coverage.

    Parameters
    ----------
    generated, real
        Features (N, D) and (N′, D) of one encoder. All four depend on the numbers; compare at equal ones.
    nearest
        k, how far a ball reaches.

    Returns
    -------
    dict
        ``precision``, ``recall``, ``coverage`` from 0 to 1; ``density`` from 0, about 1 at best. More is better.

    Raises
    ------
    InputError
        A set has no more than k images, or they have not the same features.
    """
    if generated.ndim != 2 or real.ndim != 2 or generated.shape[1] != real.shape[1]:
        raise InputError(
            f"features of shape {generated.shape} and {real.shape} cannot be compared; give (N, D) of one encoder"
        )
    least = min(len(generated), len(real))
    if least <= nearest:
        raise InputError(f"{least} images are too few for balls of {nearest} neighbours; give {nearest + 1} at least")
    generated, real = generated.astype(np.float64), real.astype(np.float64)
    centre = real.mean(axis=0)  # near 0 the squares lose no digits
    generated, real = generated - centre, real - centre
    real_radii, generated_radii = _radii(real, nearest), _radii(generated, nearest)
    inside = np.zeros(len(generated), np.int64)  # real balls that hold the generated image
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
        squares[own - rows.start, own] = 0.0  # rounding must not put another in its own place
        radii[rows] = np.partition(squares, nearest, axis=1)[:, nearest]
    return radii


def _squares(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of some rows of `a` to all of `b` at a time, so that memory is bounded."""
    some = max(1, _CHUNK_BYTES // (8 * len(b)))
    lengths = np.einsum("nd,nd->n", b, b)
    for start in range(0, len(a), some):
        rows = slice(start, min(start + some, len(a)))
        squares = np.einsum("nd,nd->n", a[rows], a[rows])[:, None] + lengths - 2 * (a[rows] @ b.T)
        yield rows, np.maximum(squares, 0.0)
