"""The sheet of samples: layout, contours and legend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_pgan.samples import grid_sheet, sheet, write_sheet
from napari_pgan.schema import Channels, DisplayGroup, Label

TWO = Channels(("t1", "flair"), (Label(1, "core", "#ff0000"), Label(4, "rim", "#0000ff")))


def _count(page: Image.Image, color: tuple[int, int, int]) -> int:
    return int((np.asarray(page) == color).all(axis=-1).sum())


def test_a_pixel_of_a_small_image_becomes_a_crisp_square() -> None:
    images = np.full((1, 2, 32, 32), -1, np.float32)
    images[0, 0, 5, 7] = 1
    page = np.asarray(sheet(images, None, TWO).convert("L"))
    tile = page[:, 12 : 12 + 128]  # the first column; the paper is white too, so look between the black pixels
    black = np.argwhere(tile == 0)
    inside = tile[black[:, 0].min() : black[:, 0].max() + 1]
    found = np.argwhere(inside[:128] == 255)
    assert inside.shape == (128, 128)
    assert found.min(axis=0).tolist() == [20, 28]
    assert found.max(axis=0).tolist() == [23, 31]
    assert len(found) == 16


def test_labels_are_drawn_in_their_colours_over_flair_and_in_the_legend() -> None:
    images = np.zeros((1, 2, 40, 40), np.float32)
    images[:, 1] = 1
    labels = np.zeros((1, 40, 40), np.uint8)
    bare = sheet(images, labels, TWO)
    labels[0, 10:20, 10:20] = 4
    drawn = sheet(images, labels, TWO)
    swatch = _count(bare, (0, 0, 255))
    assert swatch > 50
    assert _count(drawn, (0, 0, 255)) > swatch  # the contour
    assert _count(drawn, (153, 153, 255)) > 20 * 20  # 0.4 of blue over the white of the flair
    assert _count(drawn, (255, 0, 0)) == _count(bare, (255, 0, 0)) > 50


def test_three_modalities_of_a_group_are_one_colour_image() -> None:
    photo = Channels(("red", "green", "blue"), (), (DisplayGroup("fundus", ("red", "green", "blue")),))
    images = np.zeros((1, 3, 20, 30), np.float32)
    images[:, 0], images[:, 2] = 1, -1
    page = sheet(images, np.zeros((1, 20, 30), np.uint8), photo, scale=7)
    assert _count(page, (255, 128, 0)) == 140 * 210


def test_a_sheet_of_sixty_four_samples_is_about_square() -> None:
    images = np.zeros((64, 2, 16, 16), np.float32)
    page = grid_sheet(images, np.zeros((64, 16, 16), np.uint8), TWO, [f"seed {i}" for i in range(64)], scale=2)
    assert 0.6 < page.width / page.height < 2.0
    assert _count(page, (128, 128, 128)) >= 64 * 3 * 32 * 32


@pytest.mark.parametrize("count", [1, 2, 7, 9, 64])
def test_every_sample_is_drawn(count: int, tmp_path: Path) -> None:
    images = np.full((count, 2, 16, 16), -1, np.float32)
    write_sheet(tmp_path / "s.png", images, None, TWO, scale=2)
    with Image.open(tmp_path / "s.png") as page:
        assert _count(page.convert("RGB"), (0, 0, 0)) == count * 2 * 32 * 32


def test_a_volume_is_drawn_at_the_slice_with_the_largest_lesion() -> None:
    images = np.full((1, 2, 6, 16, 16), -1, np.float32)
    images[:, :, 4] = 0
    labels = np.zeros((1, 6, 16, 16), np.uint8)
    labels[0, 4, :2, :2] = 1
    assert _count(sheet(images, labels, TWO), (0, 0, 0)) == 0
    assert _count(sheet(images, None, TWO), (0, 0, 0)) > 0  # without labels: the middle slice
