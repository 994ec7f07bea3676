"""Splits: by subject, disjoint, reproducible, and stable when a cohort grows."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.store import SPLITS, SplitRule
from napari_pgan.store.splits import assign

keys = st.sets(st.text("0123456789abcdef", min_size=4, max_size=8), max_size=60)
rules = st.one_of(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)).map(lambda n: SplitRule(numbers=n)),
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)).map(
        lambda n: SplitRule(fractions=(n[0] / sum(n), n[1] / sum(n), n[2] / sum(n)))
    ),
)


@given(keys, rules)
def test_each_subject_has_one_split_and_sizes_follow_the_rule(subjects: set[str], rule: SplitRule) -> None:
    splits = assign(subjects, rule)
    assert set(splits) == subjects
    assert {s: list(splits.values()).count(s) for s in SPLITS} == rule.targets(len(subjects))


@given(keys, rules)
def test_the_order_of_subjects_does_not_matter(subjects: set[str], rule: SplitRule) -> None:
    assert assign(sorted(subjects), rule) == assign(sorted(subjects, reverse=True), rule)


@given(keys, keys, rules, rules)
def test_existing_splits_stay(first: set[str], second: set[str], rule: SplitRule, other: SplitRule) -> None:
    before = assign(first, rule)
    after = assign(first | second, other, before)
    assert {key: after[key] for key in before} == before
    assert set(after) == first | second


@given(keys, keys, rules)
def test_new_subjects_fill_the_missing_places(first: set[str], second: set[str], rule: SplitRule) -> None:
    before = assign(first, rule)
    after = Counter(assign(first | second, rule, before).values())
    targets, have = rule.targets(len(first | second)), Counter(before.values())
    if all(have[split] <= targets[split] for split in SPLITS):
        assert {split: after[split] for split in SPLITS} == targets


@pytest.mark.parametrize(
    ("subjects", "expected"), [(24, (18, 3, 3)), (4, (2, 1, 1)), (5, (3, 1, 1)), (1, (1, 0, 0)), (0, (0, 0, 0))]
)
def test_default_fractions(subjects: int, expected: tuple[int, int, int]) -> None:
    assert tuple(SplitRule().targets(subjects).values()) == expected


def test_additional_subjects_go_to_train() -> None:
    assert SplitRule.parse("train=10,val=2,test=3").targets(20) == {"train": 15, "val": 2, "test": 3}
    assert SplitRule.parse("val=2").targets(20) == {"train": 18, "val": 2, "test": 0}


@pytest.mark.parametrize("text", ["0.75,0.125,0.125", "train=18,val=3,test=3", "1,0,0"])
def test_rules_survive_parsing_and_formatting(text: str) -> None:
    rule = SplitRule.parse(text)
    assert str(rule) == text
    assert SplitRule.parse(str(rule)) == rule


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5",
        "0.5,0.5",
        "0.5,0.5,0.5",
        "-0.5,1,0.5",
        "a,b,c",
        "train=x",
        "dev=3",
        "val=1,val=2",
        "val=-1",
        "nan,0,1",
    ],
)
def test_invalid_rules_are_rejected(text: str) -> None:
    with pytest.raises(InputError, match="--split"):
        SplitRule.parse(text)
