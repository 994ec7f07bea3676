"""Fréchet and kernel distances of known distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.frechet import frechet_distance, kernel_distance


def _normal(seed: int, mean: np.ndarray, covariance: np.ndarray, count: int = 300) -> np.ndarray:
    """Return points with exactly this mean and covariance."""
    points = np.random.default_rng(seed).standard_normal((count, len(mean)))
    points -= points.mean(axis=0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(points.T)))).T
    return points @ np.linalg.cholesky(covariance).T + mean


def _covariance(seed: int, size: int) -> np.ndarray:
    a = np.random.default_rng(seed).standard_normal((size, size))
    return a @ a.T + 0.1 * np.eye(size)


def test_the_frechet_distance_of_normal_distributions_follows_the_formula() -> None:
    for seed in range(2):
        mean = np.random.default_rng(seed).standard_normal((2, 6))
        one, two = _covariance(seed, 6), _covariance(seed + 10, 6)
        expected = ((mean[0] - mean[1]) ** 2).sum() + np.trace(one + two - 2 * sqrtm(one @ two).real)
        found = frechet_distance(_normal(1, mean[0], one), _normal(2, mean[1], two))
        assert found == pytest.approx(expected, rel=1e-6)


def test_the_frechet_distance_in_one_dimension_depends_on_means_and_deviations() -> None:
    a, b = _normal(0, np.array([1.0]), np.array([[4.0]])), _normal(1, np.array([4.0]), np.array([[0.25]]))
    assert frechet_distance(a, b) == pytest.approx(3**2 + 1.5**2)
    assert frechet_distance(1000 + a, 1000 + b) == pytest.approx(3**2 + 1.5**2)  # far from 0 as well


def test_the_kernel_distance_is_the_unbiased_mmd_estimate() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((50, 4)), 0.3 + 1.2 * rng.standard_normal((50, 4))

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / 4 + 1) ** 3

    def inner(x: np.ndarray) -> float:
        return float((kernel(x, x).sum() - np.trace(kernel(x, x))) / (50 * 49))

    expected = inner(a) + inner(b) - 2 * kernel(a, b).mean()
    assert kernel_distance(a, b) == pytest.approx(1000 * expected)


def test_the_kernel_distance_of_one_distribution_is_0_for_any_number_of_images() -> None:
    # unlike the Fréchet distance, whose estimate grows as the number of images falls
    rng = np.random.default_rng(0)
    draws = {n: [rng.standard_normal((2, n, 8)) for _ in range(30)] for n in (20, 200)}
    kernel = {n: [kernel_distance(*pair) for pair in pairs] for n, pairs in draws.items()}
    for values in kernel.values():
        assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(30)
    frechet = {n: np.mean([frechet_distance(*pair) for pair in pairs]) for n, pairs in draws.items()}
    assert frechet[20] > 5 * frechet[200]


def test_equal_sets_have_zero_distance_in_any_order() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 60, 5)).astype(np.float32)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert kernel_distance(a, a) <= 0
    mixed = rng.permutation(b)
    assert frechet_distance(a, mixed) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert kernel_distance(a, mixed) == pytest.approx(kernel_distance(a, b), rel=1e-9)


def test_more_than_a_thousand_images_are_compared_in_subsets_that_repeat() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((1500, 3)), 0.5 + rng.standard_normal((1200, 3))
    whole = [kernel_distance(a[:1000], b[:1000]), kernel_distance(a, b)]
    assert whole[1] == pytest.approx(whole[0], rel=0.2)
    assert kernel_distance(a, b) == whole[1]


def test_sets_that_cannot_be_compared_are_refused() -> None:
    a = np.zeros((5, 3))
    for measure in (frechet_distance, kernel_distance):
        with pytest.raises(InputError, match="one encoder"):
            measure(a, a[:, :2])
        with pytest.raises(InputError, match="too few"):
            measure(a, a[:1])
        with pytest.raises(InputError, match="NaN"):
            measure(a, np.full_like(a, np.nan))
