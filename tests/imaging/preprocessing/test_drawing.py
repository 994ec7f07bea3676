"""A segmentation in a file becomes a slice on a model's grid, whatever the file's orientation."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.volume import Volume, orient, write_volume
from napari_pgan.imaging.preprocessing.drawing import read_drawing
from napari_pgan.latent.steering import TargetMask
from napari_pgan.schema import Channels, Grid, Label

CHANNELS = Channels(("t1",), (Label(1, "lesion", "#ff0000"),))
GRID = Grid((64, 64), (3.0, 3.0), "PL")


def volume() -> Volume:
    """1 mm, 160 × 192 pixels, ten slices; slice 7 has a square of 24 mm, 30 mm to the patient's left of the middle and
    12 mm behind it; slice 3 a small one."""
    array = np.zeros((10, 192, 160), np.uint8)
    array[7, 96 + 12 - 12 : 96 + 12 + 12, 80 + 30 - 12 : 80 + 30 + 12] = 1
    array[3, 0:4, 0:4] = 1
    affine = np.array([[-1.0, 0, 0, 80], [0, -1, 0, 96], [0, 0, 2, 0], [0, 0, 0, 1]])  # SPL
    return Volume(array, affine)


def target_of(path: Path, position: int | None = None) -> tuple[TargetMask, tuple[str, ...]]:
    drawing = read_drawing(path, GRID, position)
    return TargetMask.of(drawing.labels, CHANNELS, GRID, drawing.affine), drawing.messages


@pytest.mark.parametrize("orientation", ["SPL", "SAR", "RSA", "PIR", "LAS"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd"])
def test_the_lesion_keeps_its_position_in_any_orientation(tmp_path: Path, orientation: str, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    if suffix == ".seg.nrrd":
        from napari_pgan.imaging.io.segmentation import write_segmentation

        write_segmentation(path, orient(volume(), orientation), CHANNELS.labels)
    else:
        write_volume(path, orient(volume(), orientation))
    target, messages = target_of(path)
    assert messages == ("Slice 7 of 10 was used, which has the largest lesion.",)
    assert (target.labels == 1).sum() * 9 == pytest.approx(24 * 24, rel=0.15)
    expected = (np.array([64, 64]) - 1) / 2 + np.array([12, 30]) / 3
    assert np.argwhere(target.labels).mean(axis=0) == pytest.approx(expected, abs=0.5)


@st.composite
def resaved_drawings(draw: st.DrawFn) -> tuple[np.ndarray, Volume]:
    """Draw a drawing on the model's grid, and the same drawing in the model's space on another grid: cropped or padded,
    with smaller pixels, several slices and any orientation."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = np.zeros(GRID.shape, np.uint8)
    y, x = draw(st.tuples(st.integers(10, 50), st.integers(10, 50)))
    labels[y - 6 : y + 6, x - 6 : x + 6] = random.integers(0, 2, (12, 12))
    labels[y, x] = 1
    array, start = labels, np.zeros(2)
    finer = draw(st.sampled_from([1, 1, 2, 3]))
    if finer == 1 and draw(st.booleans()):  # a margin around the whole
        before, after = draw(st.tuples(*[st.tuples(st.integers(0, 20), st.integers(0, 20))] * 2))
        array, start = np.pad(labels, np.transpose([before, after])), -np.array(before, float)
    else:  # a part of it
        low = np.array([draw(st.integers(0, y - 6)), draw(st.integers(0, x - 6))])
        high = np.array([draw(st.integers(y + 6, 64)), draw(st.integers(x + 6, 64))])
        array, start = labels[low[0] : high[0], low[1] : high[1]], low.astype(float)
    array = array.repeat(finer, axis=0).repeat(finer, axis=1)
    first = start - 0.5 + 0.5 / finer  # the middle of the first pixel in pixels of the grid
    slices = draw(st.integers(1, 4))
    stack = np.zeros((slices, *array.shape), np.uint8)
    stack[draw(st.integers(0, slices - 1))] = array
    fine = np.diag([1 / finer, 1 / finer, 1.0, 1.0])
    fine[:2, 3] = first[::-1]
    axes = draw(st.permutations(["SI", "PA", "LR"]))
    orientation = "".join(draw(st.sampled_from(letters)) for letters in axes)
    return labels, orient(Volume(stack, GRID.affine() @ fine), orientation)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(resaved_drawings())
def test_in_the_models_space_a_drawing_keeps_its_position_on_any_grid(
    tmp_path: Path, case: tuple[np.ndarray, Volume]
) -> None:
    labels, volume = case
    write_volume(tmp_path / "mask.nii.gz", volume)
    np.testing.assert_array_equal(target_of(tmp_path / "mask.nii.gz")[0].labels, labels)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(*[st.floats(-300, 300)] * 3),
    st.sampled_from(["SPL", "SAR", "RSA", "PIR", "LAS", "IPL"]),
    st.floats(-2, 2),
)
def test_drawings_in_other_spaces_are_centred(
    tmp_path: Path, origin: tuple[float, float, float], orientation: str, degrees: float
) -> None:
    """A field of view larger than the model's is centred on the grid."""
    large = np.zeros((3, 260, 250), np.uint8)  # 1 mm
    large[1, 130 - 12 : 130 + 12, 125 + 21 : 125 + 45] = 1
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ np.diag([-1.0, -1.0, 2.0]), origin
    write_volume(tmp_path / "mask.nii.gz", orient(Volume(large, affine), orientation))
    expected = np.zeros((64, 64), bool)
    expected[28:36, 39:47] = True
    found = target_of(tmp_path / "mask.nii.gz")[0].labels > 0
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.99


def test_the_placement_is_reported(tmp_path: Path, shared_data: Path) -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[20:30, 10:20] = 1
    affine = GRID.affine()
    affine[:3, 3] += affine[:3, 0] * 5  # without the five columns that come first
    nib.save(nib.Nifti1Image(labels[:, 5:].T[..., None], affine), tmp_path / "part.nii.gz")
    target, messages = target_of(tmp_path / "part.nii.gz")
    np.testing.assert_array_equal(target.labels, labels)
    assert messages == ("Its coordinates are those of the model's images, so it was placed by them.",)

    (exam,) = (shared_data / "brats18").glob("Brats18_2013_3_1")
    path = exam / f"{exam.name}_seg.nii.gz"
    array = (np.asarray(nib.load(path).dataobj) > 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(array, nib.load(path).affine), tmp_path / "real.nii.gz")
    target, messages = target_of(tmp_path / "real.nii.gz")
    assert "are not those of the model's images" in messages[1]
    largest = array[..., (array > 0).sum(axis=(0, 1)).argmax()]
    centre = (np.argwhere(largest).mean(axis=0)[::-1] - 119.5) / 3 + 31.5  # of (y, x), 1 mm, the file's axes are LPS
    assert np.argwhere(target.labels).mean(axis=0) == pytest.approx(centre, abs=0.5)


def test_a_slice_can_be_chosen(tmp_path: Path) -> None:
    write_volume(tmp_path / "mask.nii.gz", volume())
    assert not target_of(tmp_path / "mask.nii.gz", 0)[0].present.any()
    with pytest.raises(VolumeError, match="no slice 10"):
        target_of(tmp_path / "mask.nii.gz", 10)


def test_a_segmentation_on_the_grid_is_unchanged(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels.T[..., None], GRID.affine()), tmp_path / "mask.nii.gz")
    drawing = read_drawing(tmp_path / "mask.nii.gz", GRID)
    assert drawing.affine is None
    np.testing.assert_array_equal(drawing.labels, labels)


def test_pictures_cover_the_field_of_view(tmp_path: Path) -> None:
    large = np.zeros((256, 256), np.uint8)
    large[64:128, 128:192] = 1
    Image.fromarray(large).save(tmp_path / "mask.png")
    target, _ = target_of(tmp_path / "mask.png")
    expected = np.zeros((64, 64), bool)
    expected[16:32, 32:48] = True
    np.testing.assert_array_equal(target.labels == 1, expected)
    with pytest.raises(VolumeError, match="one slice"):
        target_of(tmp_path / "mask.png", 3)


def test_fractions_and_damaged_files_are_refused(tmp_path: Path) -> None:
    soft = Volume(volume().array * np.float32(0.5), volume().affine)
    write_volume(tmp_path / "soft.nii.gz", soft)
    with pytest.raises(VolumeError, match="fractions"):
        target_of(tmp_path / "soft.nii.gz")
    (tmp_path / "broken.nii.gz").write_bytes(b"no")
    with pytest.raises(VolumeError):
        target_of(tmp_path / "broken.nii.gz")
