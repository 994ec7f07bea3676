"""Resampling to other grids, and transform files."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from displaced import motion
from hypothesis import given
from hypothesis import strategies as st
from nibabel.processing import resample_from_to

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.registration.resampling import read_transform, resample_image, resample_labels, write_transform

seeds = st.integers(0, 10_000)


def _covered(volume: Volume, matrix: np.ndarray, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Voxels of a grid inside a volume, bool (z, y, x); parameters as in `resample_image`."""
    inverse = np.linalg.inv(volume.affine) @ matrix @ affine
    found = np.ones(shape, bool)
    z, y, x = np.ogrid[tuple(slice(n) for n in shape)]
    for axis, size in enumerate(volume.array.shape[::-1]):
        a, b, c, d = inverse[axis]
        index = a * x + b * y + c * z + d
        found &= (index >= -0.5) & (index <= size - 0.5)
    return found


def _somewhere(seed: int, millimetres: float = 5, degrees: float = 25) -> np.ndarray:
    return motion(np.random.default_rng(seed), millimetres, degrees, np.zeros(3))


def _smooth(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A linear function of the position, exact under linear interpolation; (z, y, x)."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    place = np.einsum("ij,j...->i...", affine[:3], np.stack([x, y, z, np.ones(shape)]))
    field: np.ndarray = 3 * place[0] - 2 * place[1] + place[2]
    return field


@given(seeds, seeds, seeds)
def test_a_linear_field_is_resampled_within_a_tenth_of_a_millimetre(seed: int, other: int, way: int) -> None:
    matrix = _somewhere(way)
    have = _somewhere(seed) @ np.diag([2.0, -1.5, 3.0, 1.0])
    volume = Volume(_smooth(have, (14, 15, 16)), have)
    want = _somewhere(other) @ np.diag([-1.9, 1.6, 2.9, 1.0])
    shape = (7, 8, 9)
    inside = _covered(volume, matrix, shape, want)
    found = resample_image(volume, matrix, shape, want, fill=1e6)
    edge = _covered(Volume(volume.array[1:-1, 1:-1, 1:-1], have @ _step(1)), matrix, shape, want)
    # ITK steps along a row between its ends: exact to rounding in most cases, up to 0.04 mm off in 34,000 random ones
    slope = np.linalg.norm([3, -2, 1])  # of the field, per mm
    np.testing.assert_allclose(found.array[edge], _smooth(matrix @ want, shape)[edge], atol=0.1 * slope)
    assert (found.array[~inside] == 1e6).all()


def _step(n: int) -> np.ndarray:
    moved = np.eye(4)
    moved[:3, 3] = n
    return moved


@given(seeds, seeds)
def test_images_agree_with_nibabel(seed: int, other: int) -> None:
    random = np.random.default_rng(seed)
    have, want = _somewhere(seed) @ np.diag([2.0, 2.0, 2.0, 1.0]), _somewhere(other) @ np.diag([2.0, 2.0, 2.0, 1.0])
    array = random.normal(0, 1, (9, 10, 11)).astype(np.float32)
    theirs = resample_from_to(nib.Nifti1Image(array.T, have), ((11, 10, 9), want), order=1, cval=0)
    volume = Volume(array, have)
    inside = _covered(Volume(array[1:-1, 1:-1, 1:-1], have @ _step(1)), np.eye(4), (9, 10, 11), want)
    ours = resample_image(volume, np.eye(4), (9, 10, 11), want)
    np.testing.assert_allclose(ours.array[inside], theirs.get_fdata().T[inside], atol=1e-3)


@given(seeds)
def test_labels_preserve_their_values_and_return(seed: int) -> None:
    matrix = _somewhere(seed)
    z, y, x = np.meshgrid(*[np.arange(24) - 11.5] * 3, indexing="ij")
    away = np.sqrt(x**2 + y**2 + z**2)
    values = np.where(away < 4, 4, np.where(away < 7, 2, 0)).astype(np.uint8)
    labels = Volume(values, np.diag([-1.0, 1.0, 1.0, 1.0]))
    finer = np.linalg.inv(matrix) @ labels.affine @ _step(-2) @ np.diag([0.4, 0.4, 0.4, 1.0])
    there = resample_labels(labels, matrix, (70, 70, 70), finer)
    back = resample_labels(there, np.linalg.inv(matrix), (24, 24, 24), labels.affine)
    assert set(np.unique(there.array)) == {0, 2, 4}
    assert there.array.dtype == np.uint8
    assert (back.array != values).mean() < 0.01


def test_downsampling_does_not_alias() -> None:
    stripes = np.zeros((60, 4, 4), np.float32)
    stripes[::2] = 1  # 1 mm slices, on and off
    thick = resample_image(Volume(stripes, np.eye(4)), np.eye(4), (10, 4, 4), np.diag([1.0, 1.0, 6.0, 1.0]))
    np.testing.assert_allclose(thick.array[1:-1], 0.5, atol=0.02)


@given(seeds)
def test_transforms_survive_writing_and_reading(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    path = tmp_path_factory.mktemp("t") / "t2_to_t1.tfm"
    matrix = _somewhere(seed)
    write_transform(path, matrix)
    np.testing.assert_allclose(read_transform(path), matrix, atol=1e-9)


def test_files_without_a_transform_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_transform(tmp_path / "none.tfm")
    (tmp_path / "bad.tfm").write_text("hello")
    with pytest.raises(InputError, match=r"bad\.tfm cannot be read"):
        read_transform(tmp_path / "bad.tfm")


def test_smoothed_labels_have_more_accurate_borders_and_no_new_values() -> None:
    def phantom(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """Two nested ellipsoids, known everywhere."""
        z, y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
        place = np.einsum("ij,j...->i...", affine[:3], np.stack([x, y, z, np.ones(shape)]))
        away = np.sqrt((place[0] / 18) ** 2 + (place[1] / 14) ** 2 + (place[2] / 10) ** 2)
        return np.where(away < 0.6, 4, np.where(away < 1, 2, 0)).astype(np.uint8)

    have = np.diag([2.0, 2.0, 2.0, 1.0])
    have[:3, 3] = -29
    matrix = _somewhere(3)
    want = np.linalg.inv(matrix) @ have @ np.diag([0.5, 0.5, 0.5, 1.0])
    turned = matrix @ want @ motion(np.random.default_rng(5), 0, 25, np.full(3, 30.0))
    labels = Volume(phantom(have, (30, 30, 30)), have)
    truth = phantom(turned, (60, 60, 60))
    errors = {}
    for smooth in (False, True):
        found = resample_labels(labels, np.eye(4), (60, 60, 60), turned, smooth=smooth).array
        assert set(np.unique(found)) <= {0, 2, 4}
        assert found.dtype == np.uint8
        errors[smooth] = float((found != truth).mean())
    assert errors[True] < 0.8 * errors[False]
