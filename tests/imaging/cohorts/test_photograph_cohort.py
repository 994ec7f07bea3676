"""Photographs: the field of view is segmented, centred and kept round, together with its masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_pgan.imaging.io.errors import SubjectRejected, VolumeError
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.imaging.preprocessing.photographs import (
    find_field_of_view,
    prepare_photographs,
    read_mask,
    read_photograph,
)
from napari_pgan.schema import Channels, Label
from napari_pgan.store import open_store

CHANNELS = Channels(("red", "green", "blue"), (Label(255, "vessels", "#e41a1c"),))


def _eye(height: int, width: int, y: float, x: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A disc with a bright stripe, and the stripe as its mask: uint8."""
    rows, columns = np.ogrid[:height, :width]
    disc = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    stripe = disc & (np.abs(rows - y) <= radius / 8)
    picture = np.where(disc[..., None], (200, 90, 40), (4, 3, 2)).astype(np.uint8)
    picture[stripe] = 250, 200, 180
    return picture, stripe.astype(np.uint8) * 255


@given(st.integers(120, 200), st.integers(120, 240), st.floats(-10, 10), st.floats(-10, 10))
@settings(max_examples=10, deadline=None)
def test_a_disc_is_centred_and_stays_round(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, down: float, right: float
) -> None:
    folder = tmp_path_factory.mktemp("eye")
    radius = min(height, width) / 2 - 12
    picture, mask = _eye(height, width, height / 2 + down, width / 2 + right, radius)
    Image.fromarray(picture).save(folder / "a.png")
    Image.fromarray(mask).save(folder / "m.png")
    made = prepare_photographs({"photograph": (folder / "a.png",), "seg": (folder / "m.png",)}, CHANNELS, 64)
    visible = made.images[0, 0] > -0.5
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    assert abs(len(rows) - len(columns)) <= 2  # half a pixel at each end may fall either way
    assert abs(rows.mean() - 31.5) <= 1
    assert abs(columns.mean() - 31.5) <= 1
    assert len(rows) >= 58  # it fills the picture but for the margin
    assert made.images[0, 0][~visible].max() < -0.4
    stripe = made.images[1, 0] > 0.137
    assert 2 * (stripe & (made.labels[0] == 255)).sum() / (stripe.sum() + (made.labels[0] == 255).sum()) > 0.9


def test_segmented_fields_of_view_equal_those_of_drive(shared_data: Path) -> None:
    for path in sorted((shared_data / "fundus" / "drive" / "images").glob("*.tif"))[::6]:
        found = find_field_of_view(read_photograph(path))
        marked = read_mask(path.parent.parent / "mask" / f"{path.stem}_mask.gif") > 0
        assert 2 * (found & marked).sum() / (found.sum() + marked.sum()) > 0.99


def test_without_a_dark_surround_the_whole_picture_is_the_field_of_view() -> None:
    assert find_field_of_view(np.random.default_rng(0).uniform(0.5, 1, (3, 40, 50)).astype(np.float32)).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif", ".bmp"])
def test_formats_agree(tmp_path: Path, suffix: str) -> None:
    picture, mask = _eye(60, 80, 30, 40, 25)
    Image.fromarray(picture).save(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(read_photograph(tmp_path / f"a{suffix}").mean(), picture.mean() / 255, atol=0.01)
    if suffix != ".jpg":
        Image.fromarray(mask).save(tmp_path / f"m{suffix}")
        np.testing.assert_array_equal(read_mask(tmp_path / f"m{suffix}"), mask)
    whole = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(VolumeError, match="truncated, damaged"):
        read_photograph(tmp_path / f"a{suffix}")


def test_pictures_are_rotated_by_exif(tmp_path: Path) -> None:
    picture, _ = _eye(40, 60, 20, 20, 10)
    tags = Image.Exif()
    tags[0x0112] = 6  # a quarter turn clockwise to view
    Image.fromarray(picture).save(tmp_path / "a.png", exif=tags)
    np.testing.assert_allclose(
        read_photograph(tmp_path / "a.png"), np.rot90(picture, -1).transpose(2, 0, 1) / 255, atol=1e-6
    )


def test_invalid_pictures_are_refused(tmp_path: Path) -> None:
    picture, mask = _eye(60, 80, 30, 40, 25)
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(mask[:50]).save(tmp_path / "small.png")
    Image.fromarray(mask * 0).save(tmp_path / "empty.png")
    Image.fromarray(picture).save(tmp_path / "colour.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)).save(tmp_path / "many.png")
    frames = [Image.fromarray(picture), Image.fromarray(picture[::-1])]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((60, 80, 3), 9, np.uint8)).save(tmp_path / "flat.png")

    def reason(photograph: str, seg: str) -> str:
        with pytest.raises(SubjectRejected) as caught:
            prepare_photographs({"photograph": (tmp_path / photograph,), "seg": (tmp_path / seg,)}, CHANNELS, 16)
        assert str(tmp_path) not in caught.value.problem
        return caught.value.problem

    assert "segmentation is 80 x 50 pixels and its photograph 80 x 60" in reason("a.png", "small.png")
    assert "its segmentation is empty" in reason("a.png", "empty.png")
    assert "its segmentation has colours" in reason("a.png", "colour.png")
    assert "lossy compression" in reason("a.png", "many.png")
    assert "its photograph contains 2 pictures" in reason("two.gif", "empty.png")
    assert "its photograph has a single colour" in reason("flat.png", "empty.png")
    assert "its photograph does not exist" in reason("none.png", "empty.png")


def test_folders_become_a_store(tmp_path: Path) -> None:
    for i in range(1, 5):
        for eye in "LR":
            picture, mask = _eye(60, 80, 30, 40 + i, 22 + i)
            for folder, array in (("images", picture), ("masks", mask)):
                (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(tmp_path / "in" / folder / f"p{i}{eye}.png")
    (tmp_path / "in" / "masks" / "p4R.png").unlink()
    report = prepare(str(tmp_path / "in"), tmp_path / "a.zarr", Options(size=32))
    assert [(a.name, a.reason) for a in report.rejected] == [("4", "the segmentation is missing")]
    store = open_store(tmp_path / "a.zarr")
    slices = store.load_slices(None, 16)
    assert slices.images.shape == (6, 3, 16, 16)
    assert (store.grid.spacing, store.grid.orientation) == (None, None)
    assert store.channels.groups[0].is_rgb
    assert "6 photographs of 32 x 32 pixels; 3 new" in report.lines()[0]
