"""Fields of view hold the head, keep its shape, and average areas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.imaging.normalise.field_of_view import (
    area_averages,
    area_votes,
    choose_field_of_view,
    crop_start,
    head_extent,
    pixel_weights,
)


@given(st.integers(1, 80), st.floats(-30, 60), st.floats(5, 120), st.integers(2, 40))
def test_a_pixel_is_a_mean_of_voxels(voxels: int, start: float, length: float, pixels: int) -> None:
    weights = pixel_weights(voxels, start, length, pixels)
    assert (weights >= 0).all()
    assert weights.sum(axis=1).max(initial=0) <= 1 + 1e-4
    inside = pixel_weights(400, start + 150, length, pixels)
    np.testing.assert_allclose(inside.sum(axis=1), 1, atol=1e-4)
    if length >= pixels:  # every voxel inside counts by its full area, so sums of intensity are kept
        covered = np.clip(
            np.minimum(np.arange(voxels) + 1, start + length) - np.maximum(np.arange(voxels), start), 0, 1
        )
        np.testing.assert_allclose(weights.sum(axis=0) * length / pixels, covered, atol=1e-3)


@given(st.floats(-20, 20), st.floats(40, 90), st.integers(4, 40))
def test_resampling_keeps_positions(start: float, length: float, pixels: int) -> None:
    """Resampling a ramp of coordinates gives the coordinates of the pixels."""
    ramp = np.arange(300, dtype=np.float64) + 0.5
    centres = start + 100 + length / pixels * (np.arange(pixels) + 0.5)
    np.testing.assert_allclose(pixel_weights(300, start + 100, length, pixels) @ ramp, centres, atol=0.3)
    fine = pixel_weights(300, start + 100, pixels / 2, pixels) @ ramp
    np.testing.assert_allclose(fine, start + 100 + 0.5 * (np.arange(pixels) + 0.5), atol=1e-3)


def test_whole_factors_are_exact_box_averages() -> None:
    volume = np.random.default_rng(0).integers(0, 256, (3, 24, 36)).astype(np.float32)
    weights = pixel_weights(24, 0, 24, 8), pixel_weights(36, 6, 24, 8)
    boxes = volume[:, :, 6:30].reshape(3, 8, 3, 8, 3).mean((2, 4))
    np.testing.assert_allclose(area_averages(volume, weights), boxes, rtol=1e-5)


def test_the_same_size_is_a_crop() -> None:
    volume = np.random.default_rng(0).normal(size=(2, 20, 30)).astype(np.float32)
    cropped = area_averages(volume, (pixel_weights(20, 2, 16, 16), pixel_weights(30, 9, 16, 16)))
    np.testing.assert_allclose(cropped, volume[:, 2:18, 9:25], rtol=1e-6)
    padded = area_averages(volume, (pixel_weights(20, -6, 32, 32), pixel_weights(30, -1, 32, 32)))
    np.testing.assert_allclose(padded, np.pad(volume, ((0, 0), (6, 6), (1, 1))), rtol=1e-6)


def test_a_disc_keeps_its_shape() -> None:
    """On a grid of 1 x 2 mm a disc of 30 mm is a disc of 30 mm on pixels of 3 x 3 mm."""
    y, x = np.meshgrid(np.arange(90) - 44.5, 2 * (np.arange(50) - 24.5), indexing="ij")
    disc = (np.hypot(x, y) < 15)[None].astype(np.float32)
    starts = crop_start(0, 90, 1, 96), crop_start(0, 50, 2, 96)
    pixels = area_averages(disc, (pixel_weights(90, starts[0], 96, 32), pixel_weights(50, starts[1], 48, 32)))[0]
    assert pixels.sum() * 9 == pytest.approx(np.pi * 15**2, rel=0.03)
    assert (pixels.sum(0) > 0.5).sum() == (pixels.sum(1) > 0.5).sum()


@given(st.floats(1, 400))
def test_the_field_of_view_holds_the_head_with_its_margin(length: float) -> None:
    chosen = choose_field_of_view(length)
    assert chosen % 16 == 0
    assert length + 8 - 1e-3 <= chosen < length + 8 + 16


@given(st.integers(0, 100), st.integers(1, 100), st.sampled_from([0.5, 1.0, 1.3, 4.0]), st.floats(8, 256))
def test_the_crop_is_centred_on_the_head(low: int, length: int, spacing: float, field_of_view: float) -> None:
    start = crop_start(low, low + length, spacing, field_of_view)
    assert start == round(start)
    assert abs(start + field_of_view / spacing / 2 - (low + length / 2)) <= 0.5


def test_a_stray_voxel_does_not_widen_the_head() -> None:
    mask = np.zeros((30, 60, 60), bool)
    mask[5:25, 10:50, 12:40] = True
    mask[0, 0, 0] = mask[29, 59, 59] = True
    extent = head_extent(mask, (5.0, 1.0, 2.0))
    assert extent.bounds == ((5, 25), (10, 50), (12, 40))
    assert extent.in_plane == 56


def test_labels_keep_their_values_and_volumes() -> None:
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (20, 96, 96)], indexing="ij")
    away = np.sqrt(x**2 + y**2 + z**2)
    labels = np.select([away < 16, away < 19, away < 30], [1, 4, 2], 0).astype(np.uint8)  # a rim of 3 voxels
    weights = pixel_weights(96, 0, 96, 32)
    small = area_votes(labels, (1, 2, 4), (weights, weights))
    assert set(np.unique(small)) == {0, 1, 2, 4}
    for value in (1, 2, 4):
        assert (small == value).sum() * 9 == pytest.approx((labels == value).sum(), rel=0.15)
    assert (small > 0).sum() * 9 == pytest.approx((labels > 0).sum(), rel=0.03)


@given(st.integers(0, 50))
def test_labels_at_the_same_size_are_the_same(seed: int) -> None:
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 2, 4], np.uint8), (3, 12, 12))
    weights = pixel_weights(12, 0, 12, 12)
    np.testing.assert_array_equal(area_votes(labels, (1, 2, 4), (weights, weights)), labels)


def test_slices_are_averaged_as_rows_and_columns_are() -> None:
    """Averages and votes of a transposed volume are the transposed averages and votes."""
    random = np.random.default_rng(1)
    image = random.normal(50, 9, (12, 18, 24)).astype(np.float32)
    labels = np.repeat(np.repeat(np.repeat(random.choice([0, 1, 4], (4, 6, 8)), 3, 0), 3, 1), 3, 2).astype(np.uint8)
    weights = tuple(pixel_weights(n, -1, n + 2, n // 2) for n in image.shape)
    transposed = tuple(weights[axis] for axis in (2, 0, 1))
    averaged = area_averages(image, weights, 50.0)
    np.testing.assert_allclose(
        area_averages(image.transpose(2, 0, 1), transposed, 50.0), averaged.transpose(2, 0, 1), rtol=1e-4
    )
    assert 30 < averaged.min() < averaged.max() < 70  # voxels outside count as background, not as 0
    votes = area_votes(labels, (1, 4), weights)
    np.testing.assert_array_equal(area_votes(labels.transpose(2, 0, 1), (1, 4), transposed), votes.transpose(2, 0, 1))
