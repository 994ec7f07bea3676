"""Scaling keeps order and contrast for any data type, offset and a few defective voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cohort import arrays

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.volume import orient, read_volume
from napari_pgan.imaging.normalise.intensity import find_foreground, scale

T1CE = arrays()["t1ce"]
SEGMENTATION = arrays()["seg"]


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_scaling_is_independent_of_the_data_type(kind: type) -> None:
    expected, scaling = scale(T1CE)
    scaled, same = scale(T1CE.astype(kind))
    np.testing.assert_array_equal(scaled, expected)
    assert same == scaling
    assert scaled.dtype == np.float32


@settings(deadline=None, max_examples=25)
@given(st.floats(0.01, 1000))
def test_scaling_is_independent_of_the_unit(factor: float) -> None:
    np.testing.assert_allclose(scale(T1CE * factor)[0], scale(T1CE)[0], atol=1e-4)


def test_background_is_exactly_minus_one_and_the_scale_linear() -> None:
    scaled, scaling = scale(T1CE)
    assert (scaled[T1CE == 0] == -1).all()
    assert (scaled[T1CE > 0] > -1).all()
    assert scaling.stripped
    inside = (T1CE > 0) & (scaling.high > T1CE)
    np.testing.assert_allclose(scaled[inside], 2 * T1CE[inside] / scaling.high - 1, atol=1e-5)
    assert scaling.clipped == pytest.approx(0.001, abs=0.0005)


def test_one_defective_voxel_does_not_darken_the_brain() -> None:
    broken = T1CE.copy()
    broken[20, 25, 9] = 32767
    scaled, _ = scale(broken)
    assert scaled.max() == 1
    np.testing.assert_allclose(np.median(scaled[T1CE > 0]), np.median(scale(T1CE)[0][T1CE > 0]), atol=0.02)


def test_the_enhancing_rim_is_not_clipped() -> None:
    scaled, _ = scale(T1CE)
    rim = scaled[SEGMENTATION == 4]
    assert np.mean(rim == 1) < 0.2
    assert rim.std() > 0.01


def test_standardised_data_keep_their_dark_half() -> None:
    head = T1CE != 0
    standardised = np.zeros(T1CE.shape, np.float32)
    standardised[head] = (T1CE[head] - T1CE[head].mean()) / T1CE[head].std()
    scaled, scaling = scale(standardised)
    assert scaling.low < -1
    assert (scaled[~head] == -1).all()
    order = np.argsort(T1CE[head], kind="stable")
    assert (np.diff(scaled[head][order]) >= -1e-6).all()


def test_a_few_values_below_the_background_are_clipped() -> None:
    undershoot = T1CE.copy()
    undershoot[21, 21:25, 9] = -30
    scaled, scaling = scale(undershoot)
    assert scaling.low == 0
    assert (scaled[undershoot < 0] == -1).all()


def test_noisy_air_is_separated_from_the_head() -> None:
    random = np.random.default_rng(1)
    noise = np.hypot(random.normal(0, 15, T1CE.shape), random.normal(0, 15, T1CE.shape))  # Rician, as in air
    found = find_foreground((T1CE + noise).astype(np.float32))
    head = T1CE > 0
    assert not found.stripped
    assert 2 * (found.mask & head).sum() / (found.mask.sum() + head.sum()) > 0.98
    scaled, _ = scale((T1CE + noise).astype(np.float32))
    assert np.median(scaled[~head]) == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize("value", [0, 7, -3.5])
def test_constant_images_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="constant"):
        scale(np.full((8, 9, 10), value))


def test_a_head_of_one_value_is_refused() -> None:
    with pytest.raises(InputError, match="head of one value"):
        scale(np.pad(np.full((4, 4, 4), -2), 4))
    mask = scale(np.pad(np.full((4, 4, 4), 2), 4))[0]
    assert set(np.unique(mask)) == {-1, 1}


@pytest.mark.parametrize("name", ["Brats18_TCIA10_637_1", "Brats18_TCIA10_639_1"])
def test_real_outliers_leave_the_brain_visible(shared_data: Path, name: str) -> None:
    for part in ("t1", "t1ce", "t2", "flair"):
        volume = read_volume(shared_data / "brats18" / name / f"{name}_{part}.nii.gz")
        scaled, scaling = scale(volume.array)
        brain = scaled[volume.array != 0]
        assert scaling.low == 0
        assert scaling.clipped <= 0.0011
        assert -0.8 < np.median(brain) < 0.6
        assert np.percentile(brain, 95) - np.percentile(brain, 5) > 0.3


def test_real_heads_with_skull_and_slabs_with_negative_values(shared_data: Path) -> None:
    clinical = [path for path in (shared_data / "clinical_FG6692").rglob("*.nii.gz") if "seg" not in path.name]
    assert clinical
    for path in clinical:
        found = find_foreground(orient(read_volume(path)).array)
        assert not found.stripped
        assert 0.25 < found.mask.mean() < 0.55
    for part in ("t1", "t1post", "t2", "flair"):
        volume = read_volume(shared_data / "openms_patient19" / f"patient19_{part}.nii.gz")
        scaled, scaling = scale(volume.array)
        assert scaling.stripped
        assert -0.7 < np.median(scaled[volume.array != 0]) < 0.6
