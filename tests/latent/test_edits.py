"""Edits of a label map: move, grow and remove a lesion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.latent.steering import grown, moved, removed


def lesion() -> np.ndarray:
    """Return a disc of label 2 that contains a disc of label 4."""
    y, x = np.mgrid[:64, :64]
    far = np.hypot(y - 30, x - 34)
    return np.where(far < 4, 4, np.where(far < 9, 2, 0)).astype(np.uint8)


@given(st.integers(-15, 15), st.integers(-15, 15))
def test_moving_there_and_back_changes_nothing(dy: int, dx: int) -> None:
    once = moved(lesion(), dy, dx)
    assert np.argwhere(once).mean(axis=0) == pytest.approx(np.argwhere(lesion()).mean(axis=0) + np.array([dy, dx]))
    np.testing.assert_array_equal(moved(once, -dy, -dx), lesion())


@pytest.mark.parametrize(("dy", "dx"), [(64, 0), (0, -60), (100, 100)])
def test_a_lesion_is_not_moved_out_of_the_image(dy: int, dx: int) -> None:
    with pytest.raises(InputError, match="move it by less"):
        moved(lesion(), dy, dx)


@given(st.floats(0.3, 4))
def test_growing_multiplies_areas_and_keeps_the_centre(factor: float) -> None:
    large = grown(lesion(), factor)
    for value in (2, 4):
        of_it = lesion() == value
        rim = sum(np.diff(of_it, axis=axis).sum() for axis in (0, 1)) * factor**0.5  # sides of pixels
        # a box of H × W may grow to (H + 1)(W + 1) pixels: half of its boundary more, plus one
        assert (large == value).sum() == pytest.approx(factor * of_it.sum(), rel=0, abs=rim / 2 + 1)
    assert np.argwhere(large).mean(axis=0) == pytest.approx(np.argwhere(lesion()).mean(axis=0), abs=0.6)
    np.testing.assert_array_equal(grown(lesion(), 1.0), lesion())


def test_impossible_growth_is_reported() -> None:
    with pytest.raises(InputError, match="no lesion"):
        grown(np.zeros((8, 8), np.uint8), 2)
    for factor in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="above 0"):
            grown(lesion(), factor)


def test_removing_one_label_leaves_the_others() -> None:
    np.testing.assert_array_equal(removed(lesion(), 4) == 2, lesion() == 2)
    assert not (removed(lesion(), 4) == 4).any()
    assert not removed(lesion()).any()
