"""DICOM series are read in patient space whatever their file names, and defects are reported without names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import DATE, NUMBER, PATIENT, write_multiframe, write_series
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless
from scipy.spatial.transform import Rotation

from napari_pgan.imaging.io.dicom import find_series
from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.volume import orient, read_volume

ARRAY = np.random.default_rng(0).integers(0, 4000, (7, 6, 5)).astype(np.uint16)
AFFINE = np.diag([-0.9, -0.8, 5.5, 1.0])
AFFINE[:3, 3] = 91.25, 120.5, -33


@given(angles=st.tuples(*[st.floats(-180, 180)] * 3), spacing=st.tuples(*[st.floats(0.3, 8)] * 3))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_direction_and_spacing(
    tmp_path_factory: pytest.TempPathFactory, angles: tuple[float, ...], spacing: tuple[float, ...]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing
    if np.linalg.det(affine) > 0:
        affine[:, 2] *= -1  # the affine of rows, columns and stack is right-handed in LPS
    affine[:3, 3] = 10, -20, 30
    folder = tmp_path_factory.mktemp("series")
    write_series(folder, ARRAY, affine)
    volume = read_volume(folder)
    np.testing.assert_allclose(sorted(volume.spacing), sorted(spacing), rtol=1e-5)
    centre = np.array([2, 2.5, 3, 1])
    np.testing.assert_allclose(volume.affine @ centre, affine @ centre, atol=1e-4)
    if not np.allclose(volume.affine, affine, atol=1e-4):  # slices may be stacked in either order
        np.testing.assert_allclose(volume.affine[:3, 2], -affine[:3, 2], atol=1e-4)
        np.testing.assert_array_equal(volume.array, ARRAY[::-1])
    else:
        np.testing.assert_array_equal(volume.array, ARRAY)


def test_values_and_geometry_equal_those_of_itk(tmp_path: Path) -> None:
    write_series(tmp_path, ARRAY, AFFINE, slope=2.5, intercept=-100)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    theirs, ours = reader.Execute(), read_volume(tmp_path)
    np.testing.assert_allclose(ours.array, sitk.GetArrayFromImage(theirs), rtol=1e-6)
    np.testing.assert_allclose(ours.array, ARRAY * 2.5 - 100, rtol=1e-6)
    np.testing.assert_allclose(np.diag([-1, -1, 1]) @ ours.affine[:3, 3], theirs.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(ours.spacing[::-1], theirs.GetSpacing(), rtol=1e-5)


@given(order=st.permutations(range(7)))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_frames_of_one_file_in_any_order(tmp_path: Path, order: list[int]) -> None:
    write_multiframe(tmp_path / "all.dcm", ARRAY, AFFINE, order)
    volume = read_volume(tmp_path / "all.dcm")
    np.testing.assert_array_equal(volume.array, ARRAY)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


def test_several_series_in_one_folder_are_separated(tmp_path: Path) -> None:
    write_series(tmp_path / "all", ARRAY, AFFINE, "T1 AX")
    for path in sorted((tmp_path / "all").iterdir()):
        path.rename(path.with_name("a" + path.name))
    turned = orient(read_volume(tmp_path / "all"), "RPI")
    write_series(tmp_path / "all", np.ascontiguousarray(turned.array), turned.affine, "T2 SAG")
    (tmp_path / "all" / "readme.txt").write_text("not DICOM")
    found = {series.description: series for series in find_series((tmp_path / "all").iterdir())}
    assert {name: len(series.files) for name, series in found.items()} == {"T1 AX": 7, "T2 SAG": 5}
    np.testing.assert_array_equal(orient(read_volume(found["T2 SAG"]), "SPL").array, ARRAY)
    with pytest.raises(VolumeError, match="2 DICOM series"):
        read_volume(tmp_path / "all")


def _without(*missing: int) -> Callable[[int, Dataset], bool | None]:
    return lambda z, header: False if z in missing else None


def _moved(change: Callable[[int, np.ndarray], None]) -> Callable[[int, Dataset], bool | None]:
    def move(z: int, header: Dataset) -> None:
        position = np.array([float(x) for x in header.ImagePositionPatient])
        change(z, position)
        header.ImagePositionPatient = [f"{x:.6f}" for x in position]

    return move


def _set(tag: str, value: object) -> Callable[[int, Dataset], bool | None]:
    return lambda z, header: setattr(header, tag, value)


def _tilt(z: int, position: np.ndarray) -> None:
    position[1] += 0.8 * z


def _uneven(z: int, position: np.ndarray) -> None:
    position[2] += 0.9 * (z % 2)


def _same(z: int, position: np.ndarray) -> None:
    position[2] -= 5.5 * (z % 2)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (_without(3), "one is missing after slice 3 of 6"),
        (_without(2, 3), "2 are missing after slice 2 of 5"),
        (_moved(_uneven), r"4\.60 to 6\.40 mm"),
        (_moved(_same), "several images at one position"),
        (_moved(_tilt), r"tilted by 8\.3 degrees"),
        (_set("BurnedInAnnotation", "YES"), "burned into its pixels"),
        (_set("PhotometricInterpretation", "MONOCHROME1"), "inverted grey"),
        (lambda z, header: header.__delattr__("ImagePositionPatient"), "without position, orientation or spacing"),
        (_set("PixelSpacing", ["0", "0"]), "invalid spacing"),
        (_set("PixelSpacing", None), "without position, orientation or spacing"),
        (_set("ImageOrientationPatient", ["1", "0", "0", "1", "0", "0"]), "invalid slice orientation"),
    ],
)
def test_defects_are_reported_without_patient_data(
    tmp_path: Path, change: Callable[[int, Dataset], bool | None], fact: str
) -> None:
    folder = tmp_path / PATIENT
    write_series(folder, ARRAY, AFFINE, f"{PATIENT} {DATE}", change)
    with pytest.raises(VolumeError, match=fact) as caught:
        read_volume(folder)
    for word in (PATIENT, "Jane", DATE, NUMBER, str(tmp_path)):
        assert word not in caught.value.problem


@given(share=st.floats(0, 0.999))
@example(share=0.8359375)  # between Rows and Columns
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_slices_are_refused(tmp_path: Path, share: float) -> None:
    paths = write_series(tmp_path, ARRAY, AFFINE)
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(VolumeError):
        read_volume(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()


def test_compressed_pixels(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 4000, (3, 32, 48)).astype(np.uint16)
    paths = write_series(tmp_path, array, AFFINE)
    for path in paths:
        dataset = dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-4)
    paths[0].write_bytes(paths[0].read_bytes()[:-30])
    with pytest.raises(VolumeError, match="truncated"):
        read_volume(tmp_path)
