"""Dice and Hausdorff distance agree with values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist

from napari_pgan.evaluation.segmentation.overlap import by_subject, dice, hausdorff95, masks_of


def _square(top: int, left: int, side: int, size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_half_covered_squares_have_a_dice_of_one_half() -> None:
    a, b = _square(4, 4, 8), _square(4, 8, 8)
    assert_allclose(dice(a[None], b[None]), [0.5])


def test_a_mask_agrees_with_itself_and_not_with_its_complement() -> None:
    a = _square(4, 4, 8)
    assert_allclose(dice(np.stack([a, a]), np.stack([a, ~a])), [1, 0])


def test_an_empty_truth_has_neither_figure() -> None:
    a, empty = _square(4, 4, 8), np.zeros((32, 32), bool)
    assert np.isnan(dice(a[None], empty[None])).all()
    assert np.isnan(hausdorff95(a[None], empty[None], (1, 1))).all()


def test_a_missed_label_has_infinite_distance() -> None:
    a, empty = _square(4, 4, 8), np.zeros((32, 32), bool)
    assert_allclose(dice(empty[None], a[None]), [0])
    assert np.isinf(hausdorff95(empty[None], a[None], (1, 1))).all()


def test_distance_counts_in_millimetres_along_each_axis() -> None:
    a = _square(4, 4, 1)
    assert_allclose(hausdorff95(a[None], _square(10, 4, 1)[None], (2.0, 5.0)), [12])
    assert_allclose(hausdorff95(a[None], _square(4, 10, 1)[None], (2.0, 5.0)), [30])


def test_distance_agrees_with_all_distances_between_borders() -> None:
    random = np.random.default_rng(0)
    a, b = (random.random((12, 12)) < 0.15 for _ in range(2))  # sparse pixels are their own borders
    a[5:7, 5:7] = b[2:4, 2:4] = False
    pair = cdist(*(np.argwhere(x & _has_gap(x)) for x in (a, b)))
    expected = max(np.percentile(pair.min(axis=1), 95), np.percentile(pair.min(axis=0), 95))
    assert_allclose(hausdorff95(a[None], b[None], (1, 1)), [expected], rtol=1e-5)


def _has_gap(mask: np.ndarray) -> np.ndarray:
    """Return the pixels with a neighbour outside the mask."""
    padded = np.pad(mask, 1)
    around = [np.roll(padded, step, axis)[1:-1, 1:-1] for axis in (0, 1) for step in (1, -1)]
    return ~np.all(around, axis=0)


def test_subjects_are_volumes_of_their_slices() -> None:
    labels = np.zeros((4, 32, 32), np.uint8)
    labels[0, :8, :8], labels[1, :8, :8], labels[3, :4, :4] = 1, 4, 4
    predicted = labels.copy()
    predicted[1] = 0  # all of the first subject's second label
    dices, distances = by_subject(predicted, labels, np.array([0, 0, 7, 7]), [1, 4], (1, 1, 1))
    assert_allclose(dices, [[1, 0, 2 / 3], [np.nan, 1, 1]])
    assert_allclose(distances[0, 1], np.inf)
    assert_allclose(distances[1], [np.nan, 0, 0])


def test_all_labels_together_come_last_unless_there_is_one() -> None:
    labels = np.array([[0, 1], [4, 4]])
    assert masks_of(labels, [1, 4]).sum(axis=(1, 2)).tolist() == [1, 2, 3]
    assert masks_of(labels, [4]).sum(axis=(1, 2)).tolist() == [2]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.0, 1.0)])
def test_the_spacing_between_slices_counts(spacing: tuple[float, ...]) -> None:
    labels, predicted = np.zeros((2, 6, 16, 16), np.uint8)
    labels[1, 4:8, 4:8], predicted[3, 4:8, 4:8] = 1, 1
    _, distances = by_subject(predicted, labels, np.zeros(6), [1], spacing)
    assert_allclose(distances, [[2 * spacing[0]]])
