"""Halves of subjects, and figures beside their floor."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.split_half import WithBaseline, beside, halvings, held_out

SUBJECT = np.repeat(np.arange(9), [3, 8, 5, 1, 9, 4, 4, 7, 2])


def test_no_subject_is_in_both_halves_and_all_sets_are_of_one_size() -> None:
    trios = halvings(SUBJECT, 30, times=20)
    for trio in trios:
        assert not set(SUBJECT[trio.other]) & set(SUBJECT[trio.reference])
        for rows, of in ((trio.generated, 30), (trio.other, len(SUBJECT)), (trio.reference, len(SUBJECT))):
            assert len(rows) == len(trios[0])
            assert len(set(rows)) == len(rows)
            assert 0 <= rows.min() <= rows.max() < of
    assert len({tuple(np.unique(SUBJECT[trio.other])) for trio in trios}) > 5  # other halves each time
    assert len({tuple(trio.generated) for trio in trios}) > 5


def test_halves_come_of_the_seed_and_keep_to_the_count() -> None:
    def rows(seed: int) -> list[list[int]]:
        return [trio.other.tolist() for trio in halvings(SUBJECT, 30, count=6, seed=seed)]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)
    assert {len(x) for x in rows(1)} == {6}
    assert len(halvings(SUBJECT, 4)[0]) == 4


def test_each_real_subject_serves_on_either_side() -> None:
    trios = halvings(SUBJECT, 100, times=40)
    for side in ("other", "reference"):
        assert set(SUBJECT[np.concatenate([getattr(trio, side) for trio in trios])]) == set(range(9))


def test_held_out_subjects_are_the_reference_and_training_ones_the_floor() -> None:
    held = SUBJECT >= 7
    for trio in held_out(held, 30):
        assert held[trio.reference].all()
        assert not held[trio.other].any()
        assert len(trio.other) == len(trio.generated) == len(trio.reference) == 9
    assert held_out(np.zeros(5, bool), 30) == []
    assert held_out(np.ones(5, bool), 30) == []


def test_a_model_that_is_off_stands_out_from_its_floor() -> None:
    rng = np.random.default_rng(0)
    centres = 0.1 * rng.standard_normal(9)
    real = centres[SUBJECT] + 0.01 * rng.standard_normal(len(SUBJECT))
    generated = 5 + 0.01 * rng.standard_normal(40)

    def apart(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        return {"mean": abs(float(a.mean() - b.mean()))}

    figure = beside(apart, real, generated, halvings(SUBJECT, 40, times=9))["mean"]
    assert figure.value == pytest.approx(5 - centres.mean(), abs=0.2)
    assert 0 <= figure.floor_low <= figure.floor <= figure.floor_high < 0.5
    assert figure.low <= figure.value <= figure.high


def test_an_interval_holds_nine_of_ten_halvings() -> None:
    figure = WithBaseline.of(list(range(101)), [3.0])
    assert (figure.value, figure.low, figure.high) == (50, 5, 95)
    assert (figure.floor, figure.floor_low, figure.floor_high) == (3, 3, 3)
    assert WithBaseline.from_dict(json.loads(json.dumps(figure.to_dict()))) == figure


def test_too_few_are_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="two real subjects"):
        halvings(np.zeros(7, int), 5)
    with pytest.raises(InputError, match="no generated images"):
        halvings(SUBJECT, 0)
