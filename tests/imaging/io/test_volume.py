"""Volumes are read as by other libraries, and reoriented without changing a voxel."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.volume import Volume, orient, read_volume, write_volume

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(["LR", "PA", "SI"])
    for letters in itertools.product(*axes)
]  # fmt: skip
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Volumes with any axis order, flips, spacing and position, whose voxels are all different."""
    shape = draw(st.tuples(*[st.integers(1, 5)] * 3))
    permutation = draw(st.permutations(range(3)))
    affine = np.zeros((4, 4))
    for column, row in enumerate(permutation):
        affine[row, column] = draw(st.sampled_from([-1, 1])) * draw(st.sampled_from([0.5, 1.0, 2.25, 6.0]))
    affine[:3, 3] = draw(st.tuples(*[st.integers(-100, 100)] * 3))
    affine[3, 3] = 1
    return Volume(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine)


def _positions(volume: Volume) -> dict[int, tuple[float, ...]]:
    """Return voxel value → position in millimetres."""
    indices = np.indices(volume.array.shape).reshape(3, -1)[::-1]  # x, y, z
    points = volume.affine[:3, :3] @ indices + volume.affine[:3, 3:]
    return {
        int(value): tuple(np.round(point, 4))
        for value, point in zip(volume.array.ravel(), points.T, strict=True)
    }  # fmt: skip


@given(volumes(), st.sampled_from(ORIENTATIONS))
def test_reorienting_keeps_every_voxel_in_place(volume: Volume, orientation: str) -> None:
    reoriented = orient(volume, orientation)
    assert reoriented.orientation == orientation
    assert _positions(reoriented) == _positions(volume)


@given(volumes(), st.sampled_from(ORIENTATIONS))
def test_reorienting_and_back_is_the_identity(volume: Volume, orientation: str) -> None:
    back = orient(orient(volume, orientation), volume.orientation)
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine)


@quick
@given(volumes(), st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]))
def test_written_volumes_are_read_unchanged(tmp_path: Path, volume: Volume, kind: type) -> None:
    written = Volume(volume.array.astype(kind), volume.affine)
    write_volume(tmp_path / "a.nii.gz", written)
    read = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read.array, written.array)
    assert read.same_grid(written)


@quick
@given(volumes(), st.sampled_from([".nii.gz", ".nii", ".mha"]))
def test_reading_and_reorienting_equal_simpleitk(tmp_path: Path, volume: Volume, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_volume(tmp_path / "a.nii", volume)
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "a.nii")), str(path))
    theirs = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
    ours = orient(read_volume(path), "SPL")
    np.testing.assert_array_equal(ours.array, sitk.GetArrayFromImage(theirs))
    np.testing.assert_allclose(ours.spacing, theirs.GetSpacing()[::-1], rtol=1e-5)
    np.testing.assert_allclose(np.diag([-1, -1, 1]) @ ours.affine[:3, 3], theirs.GetOrigin(), atol=1e-3)


def test_one_head_in_eight_orientations_becomes_one_array(shared_data: Path) -> None:
    files = sorted((shared_data / "orientations").glob("*.nii.gz"))
    heads = [orient(read_volume(path), "SPL") for path in files]
    assert len(heads) == 8
    for path, head in zip(files, heads, strict=True):
        assert read_volume(path).orientation[::-1] == path.name[:3]
        np.testing.assert_array_equal(head.array, heads[0].array)
        np.testing.assert_allclose(head.affine, heads[0].affine, atol=1e-3)


def test_scaled_integers_are_read_as_their_values(shared_data: Path) -> None:
    (path,) = (shared_data / "brats18" / "Brats18_CBICA_ABM_1").glob("*_t1ce.nii.gz")
    ours = read_volume(path)
    assert ours.array.dtype == np.float32
    np.testing.assert_allclose(ours.array, sitk.GetArrayFromImage(sitk.ReadImage(str(path))), rtol=1e-6)


def test_a_trailing_axis_of_one_is_dropped(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4, 1)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz").array, array[..., 0].T)


def test_micrometres_become_millimetres(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([1000, 1000, 3000, 1]))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").spacing, (3, 1, 1))


def test_grids_differ_by_shape_position_or_spacing() -> None:
    volume = Volume(np.zeros((3, 4, 5), np.uint8), np.diag([1.0, 1, 2, 1]))
    moved, stretched = volume.affine.copy(), volume.affine.copy()
    moved[0, 3], stretched[0, 0] = 1, 1.1
    assert volume.same_grid(Volume(volume.array, volume.affine + 1e-6))
    assert not volume.same_grid(Volume(volume.array, moved))
    assert not volume.same_grid(Volume(volume.array, stretched))
    assert not volume.same_grid(Volume(volume.array[1:], volume.affine))


random_volume = np.random.default_rng(0).integers(0, 1000, (20, 24, 16)).astype(np.int16)


@given(share=st.floats(0, 0.999))
@quick
def test_truncated_gz_files_are_refused(tmp_path: Path, share: float) -> None:
    whole = gzip.compress(nib.Nifti1Image(random_volume, np.eye(4)).to_bytes(), 1)
    (tmp_path / "a.nii.gz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(VolumeError, match=r"a\.nii\.gz is (truncated|not a readable)"):
        read_volume(tmp_path / "a.nii.gz")


def test_a_gz_without_its_last_byte_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(nib.Nifti1Image(random_volume, np.eye(4)).to_bytes())
    for missing in (1, 4, 8, 9):
        (tmp_path / "a.nii.gz").write_bytes(whole[:-missing])
        with pytest.raises(VolumeError, match="truncated"):
            read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii", ".mha"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, compressed: bool) -> None:
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(random_volume), str(path), compressed)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VolumeError, match="truncated"):
        read_volume(path)


@given(st.binary(max_size=600))
@quick
def test_random_bytes_are_refused(tmp_path: Path, noise: bytes) -> None:
    for suffix in (".nii", ".nii.gz", ".mha"):
        (tmp_path / f"a{suffix}").write_bytes(noise)
        with pytest.raises(VolumeError):
            read_volume(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_inf_are_refused(tmp_path: Path, value: float) -> None:
    array = np.ones((3, 4, 5), np.float32)
    array[1, 2, 3] = value
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="NaN or Inf in 1"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 1, 4, 5, 2)])
def test_other_numbers_of_axes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(VolumeError, match=f"{len(shape)} axes"):
        read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_invalid_spacing_in_an_sform_is_refused(tmp_path: Path, value: float) -> None:
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), None)
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = (
        [value, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
    )
    (tmp_path / "a.nii").write_bytes(image.header.binaryblock + b"\0" * 4 + bytes(60))
    with pytest.raises(VolumeError, match=r"a\.nii (has an invalid spacing|is not a readable)"):
        read_volume(tmp_path / "a.nii")


def test_colours_are_refused(tmp_path: Path) -> None:
    rgb = np.zeros((3, 4, 5), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(VolumeError, match="real numbers"):
        read_volume(tmp_path / "a.nii")


def test_missing_files_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="does not exist"):
        read_volume(tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="does not exist"):
        read_volume(tmp_path / "a.mha")
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(VolumeError, match=r"unknown format.*\.nii\.gz"):
        read_volume(tmp_path / "a.png")


def test_a_damaged_header_raises_and_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nib.save(nib.Nifti1Image(np.ones((4, 5, 6), np.int16), np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[70:72] = (9999).to_bytes(2, "little")  # invalid data type
    (tmp_path / "a.nii").write_bytes(data)
    with pytest.raises(VolumeError, match="not a readable NIfTI"):
        read_volume(tmp_path / "a.nii")
    assert not caplog.records
    with pytest.raises(nib.spatialimages.HeaderDataError):
        nib.load(tmp_path / "a.nii")
    assert caplog.records  # direct use of nibabel still logs
