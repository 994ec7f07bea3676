"""Which models match which stores, for any order of channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_evaluation import make_card, make_model, make_request

from napari_pgan.errors import InputError
from napari_pgan.evaluation.context import Candidate
from napari_pgan.evaluation.eval_data import ArrayAllocator, load_slices
from napari_pgan.evaluation.evaluate import describe
from napari_pgan.evaluation.matching import match
from napari_pgan.model import Condition
from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.store import Store, open_store


@pytest.fixture(scope="module")
def store(small_store: Path) -> Store:
    return open_store(small_store)


def test_another_order_of_the_channels_gives_the_same_pixels(store: Store) -> None:
    here = store.channels
    turned = Channels(tuple(name.upper() for name in here.modalities[::-1]), here.labels[::-1])
    plain, other = match(make_card(store), store, "m"), match(make_card(store, turned), store, "m")
    keys = plain.held_out
    a, b = (load_slices(store, found, ArrayAllocator(), keys) for found in (plain, other))
    assert np.array_equal(a.images, b.images[:, ::-1])
    assert np.array_equal(a.labels, b.labels[:, ::-1])
    assert a.labels.max() == 1


def test_labels_with_other_names_are_matched_by_value(store: Store) -> None:
    named = tuple(Label(x.value, f"part {x.value}", x.color) for x in store.channels.labels)
    found = match(make_card(store, Channels(store.channels.modalities, named)), store, "m")
    assert found.labels == (0, 1, 2)


def test_slices_equal_those_of_the_store_in_subject_order(store: Store) -> None:
    """This holds in memory and, if memory is short, in a file."""
    found = match(make_card(store), store, "m")
    keys = [*store.keys("train"), *found.held_out]
    whole = store.load_slices("train")
    for left in (1 << 30, 0):
        some = load_slices(store, found, ArrayAllocator(left), keys)
        assert np.array_equal(some.images[: len(whole)], whole.images)
        assert np.array_equal(some.labels[: len(whole)], whole.labels)
        assert some.keys == (*store.keys("train"), *store.keys("val"), *store.keys("test"))
        assert len(np.unique(some.subject)) == len(keys)
    assert isinstance(some.images, np.memmap)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: make_card(s, Channels(s.channels.modalities[:3], s.channels.labels)), "model's modalities"),
        (lambda s: make_card(s, Channels(s.channels.modalities, s.channels.labels[:2])), "model's labels"),
        (lambda s: make_card(s, conditions=(Condition("age", range=(0, 100)),)), "is conditioned on age"),
        (lambda s: replace(make_card(s), grid=Grid((32, 32), (1.0, 1.0), s.grid.orientation)), "fields of view differ"),
        (lambda s: replace(make_card(s), grid=replace(make_card(s).grid, orientation="SL")), "along the model's axis"),
        (lambda s: make_card(s, subject_hashes=s.keys()), "holds subjects out"),
    ],
)
def test_mismatched_input_is_refused(store: Store, change: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        match(change(store), store, "m")  # type: ignore[operator]


def test_a_size_that_the_store_does_not_have_is_refused(store: Store) -> None:
    card = make_card(store)
    larger = replace(card.architecture, widths=(*card.architecture.widths, 8))
    with pytest.raises(InputError, match="prepare the cohort with --size 64"):
        match(replace(card, architecture=larger, grid=card.grid.at_size((64, 64))), store, "m")


def test_subjects_that_the_model_has_seen_are_not_held_out(store: Store) -> None:
    test, val = store.keys("test"), store.keys("val")
    found = match(make_card(store, subject_hashes=[*store.keys("train"), *test]), store, "m")
    assert found.held_out == tuple(val)
    assert found.seen_in_test == tuple(test)
    assert found.known == "all"
    assert match(make_card(store, subject_hashes=["0" * 16]), store, "m").known == "none"
    assert match(make_card(store, subject_hashes=[*store.keys("train"), "0" * 16]), store, "m").known == "some"


def test_a_store_without_held_out_subjects_differs_from_one_whose_held_out_subjects_were_seen(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = make_card(store, subject_hashes=list(store.keys()))
    with pytest.raises(InputError, match="has only subjects in val and test that m was trained on"):
        match(seen, store, "m")
    every, stranger = list(store.keys()), make_card(store, subject_hashes=["0" * 16])
    monkeypatch.setattr(Store, "keys", lambda self, split=None: every if split in (None, "train") else [])
    with pytest.raises(InputError, match="has no subject in val or test"):
        match(stranger, store, "m")


@pytest.mark.parametrize(
    ("named", "caveat"),
    [
        (lambda keys: keys, ""),
        (lambda keys: [*keys, "0" * 16], "4 of the 5 subjects that the model was trained on are in this store"),
        (lambda keys: ["0" * 16], "None of the 1 subjects"),
        (lambda keys: [], "does not state which subjects"),
    ],
)
def test_known_training_subjects_are_reported(
    named: Callable[[list[str]], list[str]], caveat: str, small_store: Path, tmp_path: Path
) -> None:
    request = make_request(small_store, tmp_path, ("likeness",))
    card = make_card(request.store, subject_hashes=named(list(request.store.keys("train"))))
    request = replace(request, candidate=Candidate(make_model(card), "m"))
    caveats = " ".join(describe(request, match(card, request.store, "m"), {})["caveats"])
    assert caveat in caveats
    assert ("training subjects of the store, not of the model" in caveats) == bool(caveat)
