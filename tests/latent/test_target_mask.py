"""Drawings become targets on the model's grid, and targets score segmentations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from napari_pgan.errors import InputError
from napari_pgan.latent.steering import TargetMask, any_value
from napari_pgan.schema import Channels, Grid, Label

GLIOMA = Channels(
    ("t1", "flair"), (Label(1, "core", "#ff0000"), Label(2, "oedema", "#00ff00"), Label(4, "rim", "#0000ff"))
)
GRID = Grid((16, 16), (3.0, 3.0), "PL")
ANY = any_value(GLIOMA)
drawings = some.arrays(np.uint8, (16, 16), elements=st.sampled_from([0, 1, 2, 4, ANY]))


def test_the_value_any_is_not_a_label_of_the_model() -> None:
    assert ANY == 255
    assert any_value(Channels(("t1",), (Label(255, "a", "#000000"), Label(254, "b", "#000000")))) == 253


@given(drawings)
def test_a_drawing_on_the_models_grid_is_unchanged(drawing: np.ndarray) -> None:
    target = TargetMask.of(drawing, GLIOMA, GRID)
    np.testing.assert_array_equal(target.open, drawing == ANY)
    np.testing.assert_array_equal(np.where(target.open, ANY, target.labels), drawing)
    assert len(target.messages) == (not drawing.any())


def test_labels_lost_in_resampling_are_reported() -> None:
    """A drawing of 48 pixels of 1 mm on a grid of 16 pixels of 3 mm starts 24 mm to the right of the centre."""
    fine = np.zeros((48, 48), np.uint8)
    fine[18:30, 6:30], fine[20, 20] = 2, 1
    placement = np.array([[1 / 3, 0, 0], [0, 1 / 3, 8], [0, 0, 1]])
    target = TargetMask.of(fine, GLIOMA, GRID, placement)
    assert any(m.startswith("core ") and "smaller" in m for m in target.messages)
    assert any("% of it lies outside" in sentence for sentence in target.messages)
    with pytest.raises(InputError, match="outside the model's field of view"):
        TargetMask.of(fine, GLIOMA, GRID, placement + np.array([[0, 0, 0], [0, 0, 90], [0, 0, 0]]))
    dot = np.zeros((48, 48), np.uint8)
    dot[20, 20] = 2
    with pytest.raises(InputError, match="draw it larger"):
        TargetMask.of(dot, GLIOMA, GRID)


@given(drawings, st.sampled_from([1, 2, 4, 8]))
def test_fractions_ignore_open_pixels(drawing: np.ndarray, factor: int) -> None:
    target = TargetMask.of(drawing, GLIOMA, GRID)
    shares, weights = target.shares(factor)
    area = factor**2
    for k, value in enumerate((1, 2, 4)):
        assert (shares[k] * weights).sum() * area == pytest.approx((drawing == value).sum(), abs=1e-3)
    assert weights.sum() * area == pytest.approx((drawing != ANY).sum(), abs=1e-3)
    assert shares.sum(0).max() <= 1 + 1e-5


@settings(max_examples=30)
@given(drawings, st.integers(2, 5))
def test_a_finer_drawing_of_the_same_mask_gives_the_same_target(drawing: np.ndarray, times: int) -> None:
    fine = drawing.repeat(times, 0).repeat(times, 1)
    target = TargetMask.of(fine, GLIOMA, GRID)
    np.testing.assert_array_equal(np.where(target.open, ANY, target.labels), drawing)
    assert "brought to the model's 16×16" in target.messages[0]


def test_a_drawing_outside_the_grid_is_moved() -> None:
    drawing = np.zeros((8, 8), np.uint8)
    drawing[2:4, 5] = 2
    two_down_four_right = np.array([[1, 0, 2], [0, 1, 4], [0, 0, 1]])
    target = TargetMask.of(drawing, GLIOMA, GRID, two_down_four_right)
    assert [tuple(p) for p in np.argwhere(target.labels == 2)] == [(4, 9), (5, 9)]
    assert not target.open.any()  # outside the drawing is background, not open


@given(drawings)
def test_the_score_of_the_drawing_itself_is_one(drawing: np.ndarray) -> None:
    target = TargetMask.of(drawing, GLIOMA, GRID)
    assert target.score(target.labels[None])[0] == 1
    other = np.where(target.open, 4, target.labels)  # open pixels do not count
    assert target.score(other[None])[0] == 1


def test_scores_are_the_dice_of_the_target_labels() -> None:
    drawing = np.zeros((16, 16), np.uint8)
    drawing[:4], drawing[8:10] = 1, 2
    made = np.zeros((16, 16), np.uint8)
    made[:2], made[8:10], made[12:] = 1, 2, 4
    target = TargetMask.of(drawing, GLIOMA, GRID)
    np.testing.assert_allclose(target.dice(made[None])[0], [2 * 2 / 6, 1, 0])
    assert target.score(made[None])[0] == pytest.approx((2 / 3 + 1) / 2)
    nothing = TargetMask.of(np.zeros((16, 16), np.uint8), GLIOMA, GRID)
    assert nothing.score(made[None])[0] == pytest.approx(1 - 8 / 16)


@pytest.mark.parametrize(
    ("drawing", "words"),
    [
        (np.full((16, 16), 3, np.uint8), "contains 3, which the model does not know; it knows 1 core, 2 oedema, 4 rim"),
        (np.zeros((3, 16, 16), np.uint8), "label map"),
        (np.zeros((16, 16)), "label map"),
    ],
)
def test_an_invalid_drawing_is_refused(drawing: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        TargetMask.of(drawing, GLIOMA, GRID)


def test_a_model_without_labels_cannot_be_steered() -> None:
    with pytest.raises(InputError, match="no segmentation"):
        TargetMask.of(np.zeros((16, 16), np.uint8), Channels(("t1",)), GRID)
