"""Sliced Wasserstein distance: what holds for any distance of this kind, and a second library."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness import swd
from napari_pgan.evaluation.likeness.swd import floor, sliced_wasserstein

QUICK = {"patches": 64, "projections": 64}


def _textures(seed: int, count: int = 48, channels: int = 2, shape: tuple[int, int] = (32, 32)) -> np.ndarray:
    """Smooth random textures with a sharp disc: structure at every level."""
    rng = np.random.default_rng(seed)
    images = gaussian_filter(rng.standard_normal((count, channels, *shape)), (0, 0, 1.5, 1.5))
    y, x = np.mgrid[: shape[0], : shape[1]]
    for image in images:
        cy, cx, radius = rng.uniform(8, shape[0] - 8), rng.uniform(8, shape[1] - 8), rng.uniform(3, 6)
        image[:, np.hypot(y - cy, x - cx) < radius] += 1.0
    return images.astype(np.float32)


def test_a_set_is_at_no_distance_from_itself() -> None:
    a = _textures(0)
    assert set(sliced_wasserstein(a, a).values()) == {0.0}


def test_two_draws_of_one_texture_are_closer_than_another_texture() -> None:
    a, b = _textures(0), _textures(1)
    noise = np.random.default_rng(2).standard_normal(a.shape).astype(np.float32)
    assert sliced_wasserstein(a, b, **QUICK)["mean"] < 0.3 * sliced_wasserstein(a, noise, **QUICK)["mean"]


def test_the_distance_is_symmetric_and_repeats() -> None:
    a, b = _textures(0), gaussian_filter(_textures(1), (0, 0, 1, 1))
    for standardise in ("each", "pooled"):
        there = sliced_wasserstein(a, b, standardise=standardise, **QUICK)
        assert there == pytest.approx(sliced_wasserstein(b, a, standardise=standardise, **QUICK), rel=1e-5)
        assert there == sliced_wasserstein(a, b, standardise=standardise, **QUICK)


def test_the_order_of_images_does_not_matter() -> None:
    a, b = _textures(0), gaussian_filter(_textures(1), (0, 0, 1, 1))
    shuffled = b[np.random.default_rng(0).permutation(len(b))]
    assert sliced_wasserstein(a, shuffled)["mean"] == pytest.approx(sliced_wasserstein(a, b)["mean"], rel=0.05)


def test_more_noise_is_farther() -> None:
    a, b = _textures(0), _textures(1)
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(b.shape).astype(np.float32)
    distances = [sliced_wasserstein(a, b + s * noise, **QUICK)["mean"] for s in (0, 0.1, 0.3, 1.0)]
    assert distances == sorted(distances)
    assert distances[-1] > 3 * distances[0]


def test_more_blur_is_farther_and_shows_at_the_finest_level() -> None:
    a, b = _textures(0), _textures(1)
    results = [sliced_wasserstein(a, gaussian_filter(b, (0, 0, s, s)), **QUICK) for s in (0.3, 0.6, 1.0, 2.0)]
    assert [r["mean"] for r in results] == sorted(r["mean"] for r in results)
    assert results[2]["32x32"] > results[2]["16x16"]


def test_brightness_shows_when_both_sets_share_a_scale_and_only_then() -> None:
    a, b = _textures(0), _textures(1)
    still = sliced_wasserstein(a, b, **QUICK)["mean"]
    assert sliced_wasserstein(a, 1.5 * b + 0.7, **QUICK)["mean"] == pytest.approx(still, rel=1e-3)
    pooled = [sliced_wasserstein(a, b + s, standardise="pooled", **QUICK)["mean"] for s in (0.0, 0.2, 0.5, 1.0)]
    assert pooled == sorted(pooled)
    assert pooled[-1] > 3 * pooled[0]


def test_lost_variety_is_farther() -> None:
    a, b = _textures(0), _textures(1)
    distances = [sliced_wasserstein(a, np.resize(b[:k], b.shape), **QUICK)["mean"] for k in (48, 12, 3)]
    assert distances == sorted(distances)


def test_on_one_direction_it_is_the_distance_that_scipy_gives() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((200, 1, 1, 1)), 1.3 * rng.standard_normal((200, 1, 1, 1)) ** 2
    a, b = a.astype(np.float32), b.astype(np.float32)
    # a single pixel is its own patch, and the only directions are up and down
    result = sliced_wasserstein(a, b, patches=1, projections=3, standardise="pooled")
    both = np.concatenate([a, b])
    expected = 1000 * wasserstein_distance(a.ravel(), b.ravel()) / both.std()
    assert result == {"1x1": pytest.approx(expected, rel=1e-4), "mean": pytest.approx(expected, rel=1e-4)}


def test_distances_on_lines_are_those_that_scipy_gives() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 5000)).astype(np.float32), 1.02 * rng.standard_normal((20, 5000)).astype(np.float32)
    b[:, 0] = 40  # a far outlier makes the grid coarser
    exact = [wasserstein_distance(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(swd._line_distances(a, b), exact, rtol=2e-3)


def test_a_channel_repeated_tells_nothing_new() -> None:
    # projections of C equal channels are those of one, stretched by √C on the average over directions
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
def test_every_size_and_number_of_channels_has_its_levels(
    shape: tuple[int, int], levels: list[str], channels: int
) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((5, channels, *shape)).astype(np.float32) for _ in range(2))
    result = sliced_wasserstein(a, b, **QUICK)
    assert list(result) == [*levels, "mean"]
    assert all(np.isfinite(v) and v > 0 for v in result.values())


def test_sets_of_different_numbers_are_compared_at_the_smaller_one() -> None:
    a, b = _textures(0, count=96), gaussian_filter(_textures(1), (0, 0, 1, 1))
    assert sliced_wasserstein(a, b)["mean"] == pytest.approx(sliced_wasserstein(a[::2], b)["mean"], rel=0.1)


def test_many_patches_take_little_memory_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = _textures(0), gaussian_filter(_textures(1), (0, 0, 1, 1))
    kept = sliced_wasserstein(a, b, **QUICK)
    monkeypatch.setattr(swd, "_KEPT_BYTES", 0)
    monkeypatch.setattr(swd, "_SORTED_BYTES", 1)
    assert sliced_wasserstein(a, b, **QUICK) == pytest.approx(kept, rel=1e-5)


def test_a_channel_that_is_constant_does_no_harm() -> None:
    a = _textures(0)
    b = a.copy()
    a[:, 1], b[:, 1] = -1, -1
    assert sliced_wasserstein(a, b, **QUICK)["mean"] == 0.0


def test_the_pyramid_is_that_of_burt_and_adelson() -> None:
    image = _textures(0, count=1, channels=1)
    fine, rest = swd._laplacian_pyramid(image)
    np.testing.assert_allclose(fine + swd._double(swd._double(rest, 2), 3), image, atol=1e-6)  # nothing is lost
    flat = np.ones((1, 1, 32, 64), np.float32)
    fine, rest = swd._laplacian_pyramid(flat)
    np.testing.assert_allclose(fine, 0, atol=1e-6)  # a constant has no detail
    np.testing.assert_allclose(rest, 1, atol=1e-6)


def test_the_floor_is_between_halves_of_the_subjects() -> None:
    # images of a subject are near copies, so that halves by subject differ more than halves by image would
    base = _textures(0, count=8)
    subjects = np.arange(8).repeat(6)
    images = base[subjects] + 0.01 * np.random.default_rng(0).standard_normal((48, 2, 32, 32)).astype(np.float32)
    by_subject = floor(images, subjects, **QUICK)
    by_image = floor(images, np.arange(48), **QUICK)
    assert by_subject["low"] <= by_subject["mean"] <= by_subject["high"]
    assert by_subject["mean"] > 1.2 * by_image["mean"]
    assert by_subject["images"] == 24
    assert list(by_subject["levels"]) == ["32x32", "16x16"]
    assert floor(images, subjects, count=5, **QUICK)["images"] == 5
    assert floor(images, subjects, **QUICK) == by_subject


def test_what_cannot_be_compared_is_refused_in_a_sentence() -> None:
    a = _textures(0, count=3)
    with pytest.raises(InputError, match="cannot be compared"):
        sliced_wasserstein(a, a[:, :1])
    with pytest.raises(InputError, match="no generated images"):
        sliced_wasserstein(a, a[:0])
    bad = a.copy()
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        sliced_wasserstein(bad, a)
    with pytest.raises(InputError, match="two subjects"):
        floor(a, np.zeros(3))
