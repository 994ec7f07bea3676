"""Structural similarity of pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import phantom_slices
import pytest
from phantom_slices import noisier

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.diversity import ms_ssim, pairs_across, pairs_within, scales


@pytest.mark.parametrize(
    ("side", "count", "window"), [(256, 5, 11), (128, 4, 11), (64, 3, 11), (32, 2, 11), (16, 2, 11), (8, 2, 7)]
)
def test_the_number_of_scales_depends_on_the_image_size(side: int, count: int, window: int) -> None:
    found = scales((side, side))
    assert (len(found.weights), found.window) == (count, window)
    assert sum(found.weights) == pytest.approx(1)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 1, side, side)).astype(np.float32)
    np.testing.assert_allclose(ms_ssim(x, x), 1, atol=1e-5)  # torchmetrics takes them


def test_similarity_is_1_for_equal_images_and_falls_with_noise(small_store: Path) -> None:
    images = phantom_slices.real_slices(small_store).images[:20]
    alike = [ms_ssim(images, noisier(images, s)).mean() for s in (0.02, 0.1, 0.3)]
    assert 1 > alike[0] > alike[1] > alike[2] > 0


def test_modalities_are_averaged(small_store: Path) -> None:
    images = phantom_slices.real_slices(small_store).images
    a, b = images[:10], images[40:50]
    each = [ms_ssim(a[:, i : i + 1], b[:, i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(ms_ssim(a, b), np.mean(each, axis=0), atol=1e-5)
    np.testing.assert_allclose(ms_ssim(a, b), ms_ssim(b, a), atol=1e-5)


def test_pairs_are_of_two_different_images() -> None:
    random = np.random.default_rng(0)
    first, second = pairs_within(np.array([3, 8, 9]), 500, random)
    assert (first != second).all()
    assert set(zip(first, second, strict=True)) == {(a, b) for a in (3, 8, 9) for b in (3, 8, 9) if a != b}
    first, second = pairs_across(np.array([1, 2]), np.array([7]), 50, random)
    assert set(first) == {1, 2}
    assert set(second) == {7}


def test_input_without_pairs_or_structure_is_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        pairs_within(np.array([1]), 5, np.random.default_rng(0))
    with pytest.raises(InputError, match="too small"):
        scales((4, 4))
