"""Random halves of subjects, and metrics with their baseline."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.split_half import WithBaseline, halvings, held_out, with_baseline

SUBJECT = np.repeat(np.arange(9), [3, 8, 5, 1, 9, 4, 4, 7, 2])


def test_halves_share_no_subject_and_sets_have_equal_size() -> None:
    comparisons = halvings(SUBJECT, 30, times=20)
    for comparison in comparisons:
        assert not set(SUBJECT[comparison.other]) & set(SUBJECT[comparison.reference])
        for rows, of in (
            (comparison.generated, 30),
            (comparison.other, len(SUBJECT)),
            (comparison.reference, len(SUBJECT)),
        ):
            assert len(rows) == len(comparisons[0])
            assert len(set(rows)) == len(rows)
            assert 0 <= rows.min() <= rows.max() < of
    assert (
        len({tuple(np.unique(SUBJECT[comparison.other])) for comparison in comparisons}) > 5
    )  # different halves each time
    assert len({tuple(comparison.generated) for comparison in comparisons}) > 5


def test_halves_depend_on_the_seed_and_respect_the_count() -> None:
    def rows(seed: int) -> list[list[int]]:
        return [comparison.other.tolist() for comparison in halvings(SUBJECT, 30, count=6, seed=seed)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)
    assert {len(x) for x in rows(1)} == {6}
    assert len(halvings(SUBJECT, 4)[0]) == 4


def test_each_real_subject_is_sometimes_in_either_half() -> None:
    comparisons = halvings(SUBJECT, 100, times=40)
    for side in ("other", "reference"):
        assert set(SUBJECT[np.concatenate([getattr(comparison, side) for comparison in comparisons])]) == set(range(9))


def test_held_out_subjects_are_the_reference_and_training_subjects_the_baseline() -> None:
    held = SUBJECT >= 7
    for comparison in held_out(held, 30):
        assert held[comparison.reference].all()
        assert not held[comparison.other].any()
        assert len(comparison.other) == len(comparison.generated) == len(comparison.reference) == 9
    assert held_out(np.zeros(5, bool), 30) == []
    assert held_out(np.ones(5, bool), 30) == []


def test_a_bad_model_differs_from_its_baseline() -> None:
    rng = np.random.default_rng(0)
    centres = 0.1 * rng.standard_normal(9)
    real = centres[SUBJECT] + 0.01 * rng.standard_normal(len(SUBJECT))
    generated = 5 + 0.01 * rng.standard_normal(40)

    def apart(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        return {"mean": abs(float(a.mean() - b.mean()))}

    figure = with_baseline(apart, real, generated, halvings(SUBJECT, 40, times=9))["mean"]
    assert figure.value == pytest.approx(5 - centres.mean(), abs=0.2)
    assert 0 <= figure.baseline_low <= figure.baseline <= figure.baseline_high < 0.5
    assert figure.low <= figure.value <= figure.high


def test_an_interval_covers_nine_of_ten_splits() -> None:
    figure = WithBaseline.of(list(range(101)), [3.0])
    assert (figure.value, figure.low, figure.high) == (50, 5, 95)
    assert (figure.baseline, figure.baseline_low, figure.baseline_high) == (3, 3, 3)
    assert WithBaseline.from_dict(json.loads(json.dumps(figure.to_dict()))) == figure


def test_too_few_subjects_or_images_are_refused() -> None:
    with pytest.raises(InputError, match="two real subjects"):
        halvings(np.zeros(7, int), 5)
    with pytest.raises(InputError, match="no generated images"):
        halvings(SUBJECT, 0)
