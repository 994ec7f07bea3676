"""Round trips through every format keep voxels and geometry; invalid files are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.segmentation import read_segmentation, write_segmentation
from napari_pgan.imaging.io.volume import Volume, orient, read_volume, write_volume
from napari_pgan.imaging.registration.resampling import resample_image, resample_labels
from napari_pgan.schema import Label

quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")
LABELS = (Label(1, "necrotic core", "#4daf4a"), Label(2, "oedema", "#ffd92f"), Label(4, "rim: enhancing", "#e41a1c"))


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Draw oblique, flipped and anisotropic affines."""
    angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.4, 6)] * 3))
    flips = draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing * flips
    affine[:3, 3] = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    return affine


@given(affines(), st.sampled_from(FORMATS), st.sampled_from(["SPL", "PIL", "LIP"]))
@quick
def test_round_trips_through_canonical_axes(tmp_path: Path, affine: np.ndarray, suffix: str, orientation: str) -> None:
    original = Volume(np.random.default_rng(0).integers(-300, 3000, (4, 5, 6)).astype(np.int16), affine)
    write_volume(tmp_path / f"a{suffix}", original)
    write_volume(tmp_path / f"b{suffix}", orient(read_volume(tmp_path / f"a{suffix}"), orientation))
    back = orient(read_volume(tmp_path / f"b{suffix}"), original.orientation)
    np.testing.assert_array_equal(back.array, original.array)
    np.testing.assert_allclose(back.affine, affine, atol=2e-4)


@given(affines())
@quick
def test_round_trips_through_another_grid(affine: np.ndarray) -> None:
    """Through a grid of 1 mm along the patient's axes, large labels are kept and images within interpolation error."""
    random = np.random.default_rng(0)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    affine = affine.copy()
    affine[:3, :3] *= np.clip(spacing, 2, 4) / spacing
    smooth = ndimage.gaussian_filter(random.normal(size=(16, 18, 20)), 2.5).astype(np.float32)
    smooth /= np.abs(smooth).max()
    original = Volume(smooth, affine)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in smooth.shape[::-1]])).reshape(3, -1)
    points = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = points.min(axis=1) - 1, points.max(axis=1) + 1
    fine = np.diag([-1.0, -1.0, 1.0, 1.0])
    fine[:3, 3] = high[0], high[1], low[2]
    shape = tuple(np.ceil(high - low).astype(int)[::-1] + 1)
    identity = np.eye(4)
    back = resample_image(resample_image(original, identity, shape, fine), identity, smooth.shape, affine)
    inside = (slice(1, -1),) * 3
    assert np.abs(back.array - smooth)[inside].max() < 0.1
    assert back.same_grid(original)
    labels = Volume((smooth > 0.1).astype(np.uint8) * 4, affine)
    again = resample_labels(resample_labels(labels, identity, shape, fine), identity, smooth.shape, affine)
    assert set(np.unique(again.array)) <= {0, 4}
    assert (again.array == labels.array)[inside].mean() > 0.99


@given(affines())
@quick
def test_segments_keep_names_colours_and_geometry(tmp_path: Path, affine: np.ndarray) -> None:
    array = np.random.default_rng(0).choice([0, 1, 2, 4], (4, 5, 6)).astype(np.uint8)
    write_segmentation(tmp_path / "a.seg.nrrd", Volume(array, affine), LABELS)
    volume, labels = read_segmentation(tmp_path / "a.seg.nrrd")
    np.testing.assert_array_equal(volume.array, array)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-4)
    assert labels == LABELS
    np.testing.assert_array_equal(read_volume(tmp_path / "a.seg.nrrd").array, array)


def test_the_segmentation_header_follows_slicers_documentation(tmp_path: Path) -> None:
    """https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html#segmentations-file-format"""
    write_segmentation(tmp_path / "a.seg.nrrd", Volume(np.ones((2, 3, 4), np.uint8), np.eye(4)), LABELS[:1])
    header = (tmp_path / "a.seg.nrrd").read_bytes().partition(b"\n\n")[0].decode("ascii")
    entries = dict(line.split(":=", 1) for line in header.splitlines() if ":=" in line)
    assert entries["Segment0_Name"] == "necrotic core"
    assert entries["Segment0_LabelValue"] == "1"
    assert [round(255 * float(x)) for x in entries["Segment0_Color"].split()] == [0x4D, 0xAF, 0x4A]
    assert entries["Segment0_Extent"] == "0 3 0 2 0 1"
    assert entries["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert "space: left-posterior-superior" in header
    with pytest.raises(InputError, match="value 3"):
        write_segmentation(tmp_path / "b.seg.nrrd", Volume(np.full((2, 3, 4), 3), np.eye(4)), LABELS)


def test_segments_in_layers_are_merged(tmp_path: Path) -> None:
    """Slicer writes overlapping segments to layers of their own, each with the value 1."""
    layers = np.zeros((2, 3, 4, 2), np.uint8)
    layers[:, :2, :, 0], layers[:, 1:, :, 1] = 1, 1
    image = sitk.GetImageFromArray(layers, isVector=True)
    for i, name in enumerate(("oedema", "core")):
        for key, value in {"ID": f"S{i}", "Name": name, "Layer": str(i), "LabelValue": "1", "Color": "0 1 0.2"}.items():
            image.SetMetaData(f"Segment{i}_{key}", value)
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    volume, labels = read_segmentation(tmp_path / "a.seg.nrrd")
    assert labels == (Label(1, "oedema", "#00ff33"), Label(2, "core", "#00ff33"))
    np.testing.assert_array_equal(volume.array[0, :, 0], [1, 2, 2])


def test_two_dimensional_images_become_one_slice(tmp_path: Path) -> None:
    plane = np.arange(12, dtype=np.int16).reshape(3, 4)
    affine = np.diag([-1.5, -1.5, 4, 1.0])
    nib.save(nib.Nifti1Image(plane, affine), tmp_path / "a.nii")
    nib.save(nib.Nifti1Image(plane[..., None], affine), tmp_path / "b.nii")
    flat, deep = read_volume(tmp_path / "a.nii"), read_volume(tmp_path / "b.nii")
    np.testing.assert_array_equal(flat.array, plane.T[None])
    assert flat.same_grid(deep)


def test_real_slices_and_their_mask_share_a_grid(shared_data: Path) -> None:
    (folder,) = (shared_data / "brats2013_2d").glob("*/BRATS_HG0001")
    volumes = [read_volume(path) for path in folder.glob("*.nii.gz")]
    assert len(volumes) == 6
    assert all(volume.same_grid(volumes[0]) and volume.orientation == "SPL" for volume in volumes)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("code", ["none", "qform", "sform"])
def test_invalid_spacing_is_refused(tmp_path: Path, value: float, code: str) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((3, 4, 5))
    header.set_data_dtype(np.uint8)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header["pixdim"][1:4] = 1, value, 2
    if code == "qform":
        header["qform_code"] = 1
    elif code == "sform":
        header["sform_code"] = 1
        header["srow_x"], header["srow_y"], header["srow_z"] = (1, 0, 0, 0), (0, value, 0, 0), (0, 0, 1, 0)
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4 + 60))
    with pytest.raises(VolumeError, match=r"a\.nii (has an invalid|is not a readable)"):
        read_volume(tmp_path / "a.nii")


@given(st.floats(0.5, 60), st.integers(0, 2), st.integers(1, 2))
@quick
def test_sheared_axes_are_refused(tmp_path: Path, degrees: float, axis: int, other: int) -> None:
    affine = np.diag([1.0, 2, 3, 1])
    affine[:3, axis] += np.tan(np.radians(degrees)) * affine[axis, axis] * np.eye(3)[(axis + other) % 3]
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), None)
    image.set_sform(affine, code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(VolumeError, match=f"sheared by {degrees:.1f}|invalid axes"):
        read_volume(tmp_path / "a.nii")


def _mha(data: str) -> str:
    return (
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementSpacing = 1 1 1\n"
        f"ElementDataFile = {data}\n"
    )


def _nhdr(data: str) -> str:
    return f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: {data}\n"


@pytest.mark.parametrize(
    "name", ["../secret.raw", "/etc/hostname", "sub/../../secret.raw", "..", "C:\\secret.raw", "link"]
)
@pytest.mark.parametrize(("suffix", "header"), [(".mha", _mha), (".mhd", _mha), (".nrrd", _nhdr), (".nhdr", _nhdr)])
def test_data_files_outside_the_folder_are_not_opened(
    tmp_path: Path, suffix: str, header: Callable[[str], str], name: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.raw").write_bytes(bytes(8))
    (folder / "link").symlink_to(tmp_path / "secret.raw")
    (folder / f"a{suffix}").write_text(header(name))
    with pytest.raises(VolumeError, match="outside its folder"):
        read_volume(folder / f"a{suffix}")
    (folder / "beside.raw").write_bytes(bytes(range(8)))
    (folder / f"a{suffix}").write_text(header("beside.raw"))
    np.testing.assert_array_equal(read_volume(folder / f"a{suffix}").array.ravel(), range(8))


@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_nrrd_files_are_refused(tmp_path: Path, compressed: bool) -> None:
    array = np.random.default_rng(0).integers(0, 1000, (20, 24, 16)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "whole.nrrd"), compressed)
    whole = (tmp_path / "whole.nrrd").read_bytes()
    for share in (0.001, 0.01, 0.5, 0.9, 0.999):
        (tmp_path / "a.nrrd").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(VolumeError):
            read_volume(tmp_path / "a.nrrd")


@given(st.binary(max_size=400))
@quick
def test_random_bytes_are_no_nrrd(tmp_path: Path, noise: bytes) -> None:
    for suffix in (".nrrd", ".nhdr", ".mhd", ".seg.nrrd"):
        (tmp_path / f"a{suffix}").write_bytes(noise)
        with pytest.raises(VolumeError):
            read_segmentation(tmp_path / f"a{suffix}")


def test_colours_and_several_values_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 3), np.uint8), isVector=True), str(tmp_path / "a.nrrd"))
    with pytest.raises(VolumeError, match="several values"):
        read_volume(tmp_path / "a.nrrd")


def test_unknown_suffixes_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png.*\.nii\.gz"):
        write_volume(tmp_path / "a.png", Volume(np.zeros((2, 2, 2), np.uint8), np.eye(4)))
