"""A segmentation in a file becomes a slice for a model's grid, whatever way the file is stored."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from napari_pgan.imaging.drawing import read_drawing
from napari_pgan.imaging.volume import Volume, VolumeError, orient, write_volume
from napari_pgan.latent.steering import Wish
from napari_pgan.spec import Channels, Grid, Label

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


def wish_of(path: Path, position: int | None = None) -> tuple[Wish, tuple[str, ...]]:
    drawing = read_drawing(path, GRID, position)
    return Wish.of(drawing.labels, CHANNELS, GRID, drawing.affine), drawing.told


@pytest.mark.parametrize("orientation", ["SPL", "SAR", "RSA", "PIR", "LAS"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd"])
def test_the_lesion_lies_where_it_lay_whatever_the_files_axes(tmp_path: Path, orientation: str, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    if suffix == ".seg.nrrd":
        from napari_pgan.imaging.segmentation import write_segmentation

        write_segmentation(path, orient(volume(), orientation), CHANNELS.labels)
    else:
        write_volume(path, orient(volume(), orientation))
    wish, told = wish_of(path)
    assert told == ("Of 10 slices number 7 was taken, which has the largest lesion.",)
    assert (wish.labels == 1).sum() * 9 == pytest.approx(24 * 24, rel=0.15)
    expected = (np.array([64, 64]) - 1) / 2 + np.array([12, 30]) / 3
    assert np.argwhere(wish.labels).mean(axis=0) == pytest.approx(expected, abs=0.5)


def test_a_slice_can_be_chosen(tmp_path: Path) -> None:
    write_volume(tmp_path / "mask.nii.gz", volume())
    assert not wish_of(tmp_path / "mask.nii.gz", 0)[0].present.any()
    with pytest.raises(VolumeError, match="no slice 10; it has 10"):
        wish_of(tmp_path / "mask.nii.gz", 10)


def test_a_segmentation_that_lies_on_the_grid_stays_as_it_is(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (64, 64)).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels.T[..., None], GRID.affine()), tmp_path / "mask.nii.gz")
    drawing = read_drawing(tmp_path / "mask.nii.gz", GRID)
    assert drawing.affine is None
    np.testing.assert_array_equal(drawing.labels, labels)


def test_pictures_cover_the_field_of_view(tmp_path: Path) -> None:
    large = np.zeros((256, 256), np.uint8)
    large[64:128, 128:192] = 1
    Image.fromarray(large).save(tmp_path / "mask.png")
    wish, _ = wish_of(tmp_path / "mask.png")
    expected = np.zeros((64, 64), bool)
    expected[16:32, 32:48] = True
    np.testing.assert_array_equal(wish.labels == 1, expected)
    with pytest.raises(VolumeError, match="one slice"):
        wish_of(tmp_path / "mask.png", 3)


def test_fractions_are_no_segmentation(tmp_path: Path) -> None:
    soft = Volume(volume().array * np.float32(0.5), volume().affine)
    write_volume(tmp_path / "soft.nii.gz", soft)
    with pytest.raises(VolumeError, match="fractions"):
        wish_of(tmp_path / "soft.nii.gz")
    (tmp_path / "broken.nii.gz").write_bytes(b"no")
    with pytest.raises(VolumeError):
        wish_of(tmp_path / "broken.nii.gz")
