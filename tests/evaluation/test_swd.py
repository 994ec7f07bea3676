"""Sliced Wasserstein distance: properties of a distance, and agreement with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness import swd
from napari_pgan.evaluation.likeness.swd import sliced_wasserstein

QUICK = {"patches": 64, "projections": 64}


def _textures(seed: int, count: int = 48, channels: int = 2, shape: tuple[int, int] = (32, 32)) -> np.ndarray:
    """Return smooth random textures with a sharp disc: structure at every level."""
    rng = np.random.default_rng(seed)
    images = gaussian_filter(rng.standard_normal((count, channels, *shape)), (0, 0, 1.5, 1.5))
    y, x = np.mgrid[: shape[0], : shape[1]]
    for image in images:
        cy, cx, radius = rng.uniform(8, shape[0] - 8), rng.uniform(8, shape[1] - 8), rng.uniform(3, 6)
        image[:, np.hypot(y - cy, x - cx) < radius] += 1.0
    return images.astype(np.float32)


def _pyramid(images: np.ndarray) -> list[np.ndarray]:
    return list(swd._pyramid([images], len(images), images.shape[1:], np.float32))


def test_the_distance_of_a_set_to_itself_is_zero() -> None:
    a = _textures(0)
    assert set(sliced_wasserstein(a, a).values()) == {0.0}


def test_two_draws_of_a_texture_are_closer_than_noise() -> None:
    a, b = _textures(0), _textures(1)
    noise = np.random.default_rng(2).standard_normal(a.shape).astype(np.float32)
    assert sliced_wasserstein(a, b, **QUICK)["mean"] < 0.3 * sliced_wasserstein(a, noise, **QUICK)["mean"]


def test_the_distance_is_symmetric_and_reproducible() -> None:
    a, b = _textures(0), gaussian_filter(_textures(1), (0, 0, 1, 1))
    for standardise in ("each", "pooled"):
        there = sliced_wasserstein(a, b, standardise=standardise, **QUICK)
        assert there == pytest.approx(sliced_wasserstein(b, a, standardise=standardise, **QUICK), rel=1e-5)
        assert there == sliced_wasserstein(a, b, standardise=standardise, **QUICK)


def test_the_order_of_images_does_not_matter() -> None:
    a, b = _textures(0), gaussian_filter(_textures(1), (0, 0, 1, 1))
    shuffled = b[np.random.default_rng(0).permutation(len(b))]
    assert sliced_wasserstein(a, shuffled)["mean"] == pytest.approx(sliced_wasserstein(a, b)["mean"], rel=0.05)


def test_the_distance_grows_with_noise() -> None:
    a, b = _textures(0), _textures(1)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(b.shape).astype(np.float32)
    distances = [sliced_wasserstein(a, b + s * noise, **QUICK)["mean"] for s in (0, 0.1, 0.3, 1.0)]
    assert distances == sorted(distances)
    assert distances[-1] > 3 * distances[0]


def test_the_distance_grows_with_blur_mostly_at_the_finest_level() -> None:
    a, b = _textures(0), _textures(1)
    results = [sliced_wasserstein(a, gaussian_filter(b, (0, 0, s, s)), **QUICK) for s in (0.3, 0.6, 1.0, 2.0)]
    assert [r["mean"] for r in results] == sorted(r["mean"] for r in results)
    assert results[2]["32x32"] > results[2]["16x16"]


def test_brightness_is_detected_only_with_pooled_standardisation() -> None:
    a, b = _textures(0), _textures(1)
    unchanged = sliced_wasserstein(a, b, **QUICK)["mean"]
    assert sliced_wasserstein(a, 1.5 * b + 0.7, **QUICK)["mean"] == pytest.approx(unchanged, rel=1e-3)
    pooled = [sliced_wasserstein(a, b + s, standardise="pooled", **QUICK)["mean"] for s in (0.0, 0.2, 0.5, 1.0)]
    assert pooled == sorted(pooled)
    assert pooled[-1] > 3 * pooled[0]


def test_the_distance_grows_as_variety_is_lost() -> None:
    a, b = _textures(0), _textures(1)
    distances = [sliced_wasserstein(a, np.resize(b[:k], b.shape), **QUICK)["mean"] for k in (48, 12, 3)]
    assert distances == sorted(distances)


def test_single_pixels_give_the_distance_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200, 1, 1, 1)), 1.3 * rng.standard_normal((200, 1, 1, 1)) ** 2
    a, b = a.astype(np.float32), b.astype(np.float32)
    # a single pixel is its own patch, and its only directions are 1 and -1
    result = sliced_wasserstein(a, b, patches=1, projections=3, standardise="pooled")
    both = np.concatenate([a, b])
    expected = 1000 * wasserstein_distance(a.ravel(), b.ravel()) / both.std()
    assert result == {"1x1": pytest.approx(expected, rel=1e-4), "mean": pytest.approx(expected, rel=1e-4)}


def test_distances_on_lines_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 5000)).astype(np.float32), 1.02 * rng.standard_normal((20, 5000)).astype(np.float32)
    b[:, 0] = 40  # an outlier makes the quantisation coarser
    exact = [wasserstein_distance(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(swd._line_distances([a, b], [(0, 1)])[0], exact, rtol=2e-3)


def test_repeating_a_channel_does_not_change_the_distance() -> None:
    # projections of C equal channels are those of one channel, scaled by √C on average over directions
    a, b = _textures(0, channels=1), gaussian_filter(_textures(1, channels=1), (0, 0, 1, 1))
    one = sliced_wasserstein(a, b)["mean"]
    four = sliced_wasserstein(a.repeat(4, axis=1), b.repeat(4, axis=1))["mean"]
    assert four == pytest.approx(one, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "levels"),
    [
        ((64, 64), ["64x64", "32x32", "16x16"]),
        ((80, 96), ["80x96", "40x48", "20x24"]),
        ((33, 64), ["33x64"]),
        ((16, 16), ["16x16"]),
        ((4, 8), ["4x8"]),
    ],
)
@pytest.mark.parametrize("channels", [1, 7])
def test_levels_of_every_size_and_number_of_channels(shape: tuple[int, int], levels: list[str], channels: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((5, channels, *shape)).astype(np.float32) for _ in range(2))
    result = sliced_wasserstein(a, b, **QUICK)
    assert list(result) == [*levels, "mean"]
    assert all(np.isfinite(v) and v > 0 for v in result.values())


def test_sets_of_different_sizes_are_compared_at_the_smaller_one() -> None:
    a, b = _textures(0, count=96), gaussian_filter(_textures(1), (0, 0, 1, 1))
    assert sliced_wasserstein(a, b)["mean"] == pytest.approx(sliced_wasserstein(a[::2], b)["mean"], rel=0.1)


def test_limited_memory_gives_the_same_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = _textures(0), gaussian_filter(_textures(1), (0, 0, 1, 1))
    expected = sliced_wasserstein(a, b, **QUICK)
    monkeypatch.setattr(swd, "_KEPT_BYTES", 0)
    monkeypatch.setattr(swd, "_SORTED_BYTES", 1)
    assert sliced_wasserstein(a, b, **QUICK) == pytest.approx(expected, rel=1e-5)


def test_a_constant_channel_is_ignored() -> None:
    a = _textures(0)
    b = a.copy()
    a[:, 1], b[:, 1] = -1, -1
    assert sliced_wasserstein(a, b, **QUICK)["mean"] == 0.0


def test_the_laplacian_pyramid_is_invertible_and_constants_have_no_detail() -> None:
    image = _textures(0, count=1, channels=1)
    fine, rest = _pyramid(image)
    np.testing.assert_allclose(fine + swd._double(swd._double(rest, 2), 3), image, atol=1e-6)  # nothing is lost
    flat = np.ones((1, 1, 32, 64), np.float32)
    fine, rest = _pyramid(flat)
    np.testing.assert_allclose(fine, 0, atol=1e-6)  # a constant has no detail
    np.testing.assert_allclose(rest, 1, atol=1e-6)


def test_sets_that_cannot_be_compared_are_refused() -> None:
    a = _textures(0, count=3)
    with pytest.raises(InputError, match="cannot compare images of shapes"):
        sliced_wasserstein(a, a[:, :1])
    with pytest.raises(InputError, match="no generated images"):
        sliced_wasserstein(a, a[:0])
    bad = a.copy()
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        sliced_wasserstein(bad, a)
