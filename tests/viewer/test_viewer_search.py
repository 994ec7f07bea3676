"""Searches beside the event loop: they rest while a hand draws, and end when nobody waits."""

from __future__ import annotations

import json
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.latent.steering import Bank, TargetAreas, TargetMask, any_value, make_bank
from napari_pgan.model import Model
from napari_pgan.viewer.candidates import described, drawn_table, follow, numbers_table, pictures, table
from napari_pgan.viewer.renderer import Overtaken
from napari_pgan.viewer.save import save_answer
from napari_pgan.viewer.search import Ask, Hand, Lock, answers


@pytest.fixture(scope="module")
def bank(model: Model) -> Bank:
    return make_bank(model, 64)


def never(_done: int, _total: int) -> None:
    """Somebody goes on waiting."""


def wish_of(model: Model, labels: np.ndarray) -> TargetMask:
    return TargetMask.of(labels, model.card.channels, model.card.grid)


def test_answers_are_what_the_latents_make(model: Model, bank: Bank) -> None:
    ask = Ask(model, wish_of(model, model.sample(seeds=[5]).labels[0]), candidates=3)
    told = list(islice(answers(ask, bank, never, Hand()), 3))
    for answer in told:
        again = model.sample(latents=answer.found.latents)
        np.testing.assert_array_equal(answer.batch.labels, answer.found.labels)
        np.testing.assert_array_equal(answer.batch.images, again.images)
    assert len(told[-1].found) <= 3
    assert pictures(told[-1])[0].shape == (16, 16, 3)
    assert told[-1].origin(0)["asked"]["areas"] == {row.name: _number(row.asked) for row in table(told[-1], 0)[:3]}


def test_a_refinement_goes_on_from_what_was_found(model: Model, bank: Bank) -> None:
    ask = Ask(model, wish_of(model, model.sample(seeds=[6]).labels[0]), candidates=2)
    first = next(answers(ask, bank, never, Hand()))
    refined = Ask(model, ask.goal, 2, strength=0.3)
    *_, last = islice(answers(refined, bank, never, Hand(), first.found), 4)
    assert last.found.offsets
    assert last.found.scores.max() >= first.found.scores.max()
    again = model.sample(latents=last.found.latents, offsets=last.found.offsets)
    np.testing.assert_array_equal(again.labels, last.batch.labels)
    assert last.batch.refined.any()
    best = f"the best has mean Dice {last.found.scores[0]:.2f}"
    assert described(last) == f"{last.found.steps} steps, with changes of strength 0.3: {best}"


def test_with_a_lock_the_search_begins_at_the_image(model: Model, bank: Bank) -> None:
    latent = model.latents([9])[0]
    lock = Lock(latent, np.ones((16, 16), bool), "flair")
    answer = next(answers(Ask(model, wish_of(model, np.zeros((16, 16), np.uint8)), 2, lock=lock), bank, never, Hand()))
    assert answer.found.moved is not None
    unit = answer.found.latents / np.linalg.norm(answer.found.latents, axis=1, keepdims=True)
    assert (unit @ latent / np.linalg.norm(latent)).max() > 0.9999
    assert answer.origin(0)["settings"]["lock"]["modality"] == "flair"


def test_a_search_that_is_overtaken_ends_between_two_answers(model: Model, bank: Bank) -> None:
    steps = []

    def overtaken(done: int, _total: int) -> None:
        steps.append(done)
        if done > 4:
            raise Overtaken

    search = answers(Ask(model, wish_of(model, model.sample(seeds=[5]).labels[0])), bank, overtaken, Hand())
    with pytest.raises(Overtaken):
        list(search)
    assert len(steps) == 5  # of which the first answer takes two, and the second more than twenty


def test_a_search_rests_while_the_hand_is_down(model: Model, bank: Bank) -> None:
    hand, told = Hand(), []
    hand.down()
    ask = Ask(model, wish_of(model, model.sample(seeds=[5]).labels[0]))
    thread = threading.Thread(target=lambda: told.append(next(answers(ask, bank, never, hand))), daemon=True)
    thread.start()
    time.sleep(0.3)
    assert told == []
    hand.up()
    thread.join(20)
    assert len(told) == 1


def test_the_same_question_is_not_asked_twice(model: Model) -> None:
    labels = model.sample(seeds=[5]).labels[0]
    one, other = Ask(model, wish_of(model, labels)), Ask(model, wish_of(model, labels.copy()))
    assert one.same(other)
    assert not one.same(Ask(model, one.goal, candidates=7))
    assert not one.same(Ask(model, one.goal, lock=Lock(model.latents([1])[0], labels == 0)))
    card = model.card
    numbers = Ask(model, TargetAreas(card.channels, card.grid, {1: 60.0}))
    assert numbers.same(Ask(model, TargetAreas(card.channels, card.grid, {1: 60.0})))
    assert not numbers.same(Ask(model, TargetAreas(card.channels, card.grid, {1: 90.0})))
    assert not numbers.same(one)


def test_the_table_has_areas_in_millimetres_and_dice(model: Model) -> None:
    asked, found = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)
    asked[:2], asked[8], asked[12:] = 1, 2, any_value(model.card.channels)
    found[:1], found[8], found[12:] = 1, 2, 4
    rows = drawn_table(wish_of(model, asked), found, model.card.channels, model.card.grid)
    assert [(row.name, row.asked, row.found) for row in rows] == [
        ("necrotic core", "192 mm²", "96 mm²"),  # 32 pixels of 6 mm²
        ("oedema", "96 mm²", "96 mm²"),
        ("enhancing tumour", "0 mm²", "0 mm²"),  # it lies where any label does
        ("all together", "288 mm²", "192 mm²"),
    ]
    assert [row.dice for row in rows] == [pytest.approx(2 / 3), 1, None, pytest.approx(0.8)]


def test_the_table_of_numbers_has_what_was_asked(model: Model) -> None:
    found = np.zeros((16, 16), np.uint8)
    found[:2, :4], found[2:4, :4] = 1, 4  # x grows to the patient's left, so this is on the right
    numbers = TargetAreas(model.card.channels, model.card.grid, {1: 60.0}, shares={4: 0.4}, side="right")
    rows = {row.name: (row.asked, row.found) for row in numbers_table(numbers, found)}
    assert rows["necrotic core"] == ("60 mm²", "48 mm²")
    assert rows["all together"] == ("", "96 mm²")
    assert rows["enhancing tumour, share"] == ("40%", "50%")
    assert rows["on that side"] == ("right", "100%")


def test_a_choice_is_followed_where_it_goes(model: Model) -> None:
    latents = model.latents(range(4))
    assert follow(latents[2] + 0.1 * latents[0], latents) == 2


def test_candidates_go_into_a_new_folder_with_their_origin(model: Model, bank: Bank, tmp_path: Path) -> None:
    ask = Ask(model, wish_of(model, model.sample(seeds=[5]).labels[0]), candidates=2)
    answer = next(answers(ask, bank, never, Hand()))
    written = save_answer(answer, tmp_path / "found")
    assert {path.parent for path in written} == {tmp_path / "found"}
    made = json.loads((tmp_path / "found" / "candidate-1.json").read_text())["provenance"]
    again = model.sample(latents=np.array([made["latent"]], np.float32))
    np.testing.assert_array_equal(again.labels[0], answer.batch.labels[0])
    assert made["model_identity"] == model.identity
    with pytest.raises(InputError, match="already exists"):
        save_answer(answer, tmp_path / "found")


def _number(text: str) -> float:
    return float(text.split()[0].replace(",", ""))
