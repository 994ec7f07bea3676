"""Pictures that compare two volumes: chequerboard and swipe; without Qt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.preprocessing.exam import PreprocessedExam
from napari_pgan.viewer.exam_comparison import ExamComparison, chequerboard, swiped, to_uint8

_volumes = arrays(np.uint8, (4, 6, 8))


@given(_volumes, st.floats(1, 50))
def test_a_chequerboard_of_equal_volumes_is_that_volume(volume: np.ndarray, field: float) -> None:
    np.testing.assert_array_equal(chequerboard(volume, volume, (1.0, 2.0, 3.0), field), volume)


@given(st.floats(2, 30))
def test_chequerboard_fields_have_the_given_length_in_millimetres(field: float) -> None:
    black, white = np.zeros((1, 1, 200), np.uint8), np.ones((1, 1, 200), np.uint8)
    board = chequerboard(black, white, (1.0, 1.0, 0.5), field)[0, 0].astype(int)
    edges = np.flatnonzero(np.diff(board))
    assert (np.abs(np.diff(edges) * 0.5 - field) <= 0.5).all()
    assert chequerboard(black, white, (1.0, 1.0, 0.5), 300).max() in (0, 1)


@given(_volumes, _volumes, st.floats(0, 1), st.integers(0, 2))
def test_a_swipe_shows_the_first_volume_before_the_edge_and_the_second_after(
    a: np.ndarray, b: np.ndarray, share: float, axis: int
) -> None:
    picture = swiped(a, b, share, axis)
    edge = round(share * a.shape[axis])
    np.testing.assert_array_equal(np.split(picture, [edge], axis)[0], np.split(a, [edge], axis)[0])
    np.testing.assert_array_equal(np.split(picture, [edge], axis)[1], np.split(b, [edge], axis)[1])


def test_the_grey_scale_ignores_an_outlier_and_the_background_is_black() -> None:
    array = np.tile(np.linspace(100, 200, 1000, dtype=np.float32), (10, 1, 1))
    array[0, 0, 0] = 32767
    shades = to_uint8(array, 100.0)
    assert shades[1, 0, 0] == 0
    assert shades[1, 0, 500] == pytest.approx(128, abs=2)
    assert to_uint8(np.full((2, 2, 2), 5.0), 5.0).max() == 0


def test_a_stripped_skull_is_dimmed_and_the_atlas_is_compared_with_the_reference() -> None:
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    head = np.zeros((10, 12, 14), np.float32)
    head[2:8, 2:10, 2:12] = np.linspace(50, 100, 10, dtype=np.float32)
    brain = np.zeros(head.shape, bool)
    brain[4:6, 4:8, 4:10] = True
    t1, atlas = Volume(head, affine), Volume(head[::-1].copy(), affine)
    together = PreprocessedExam(
        volumes={"t1": t1}, foregrounds={"t1": Foreground(brain, 0.0, True)}, reference="t1",
        before={"t1": t1}, transforms={"parts": {}}, atlas=atlas,
    )  # fmt: skip
    comparison = ExamComparison(together)
    assert comparison.pairs == [("atlas | t1", "atlas")]
    ((first, *_), (second, *_)) = (comparison.picture("atlas", True, True, share, 0) for share in (0.0, 100.0))
    before, *_ = comparison.picture("atlas", False, True, 0.0, 0)
    np.testing.assert_array_equal(second, to_uint8(atlas.array, 0.0))
    np.testing.assert_array_equal(first[brain], before[brain])
    outside = ~brain & (head > 0)
    assert (first[outside] < 0.5 * before[outside]).all()
    assert ExamComparison(replace(together, atlas=None)).pairs == [("t1", "t1")]
