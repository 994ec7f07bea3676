"""Searches beside the event loop: they rest while a mouse draws, and end when nobody waits."""

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
from napari_pgan.viewer.candidates import areas_table, describe, mask_table, nearest, table, thumbnails
from napari_pgan.viewer.renderer import Superseded
from napari_pgan.viewer.save import save_candidates
from napari_pgan.viewer.steering_search import Lock, Mouse, SearchRequest, run_search


@pytest.fixture(scope="module")
def bank(model: Model) -> Bank:
    return make_bank(model, 64)


def never(_done: int, _total: int) -> None:
    """Somebody goes on waiting."""


def target_of(model: Model, labels: np.ndarray) -> TargetMask:
    return TargetMask.of(labels, model.card.channels, model.card.grid)


def test_answers_are_what_the_latents_make(model: Model, bank: Bank) -> None:
    request = SearchRequest(model, target_of(model, model.sample(seeds=[5]).labels[0]), count=3)
    results = list(islice(run_search(request, bank, never, Mouse()), 3))
    for result in results:
        again = model.sample(latents=result.candidates.latents)
        np.testing.assert_array_equal(result.batch.labels, result.candidates.labels)
        np.testing.assert_array_equal(result.batch.images, again.images)
    assert len(results[-1].candidates) <= 3
    assert thumbnails(results[-1])[0].shape == (16, 16, 3)
    areas = {row.name: _number(row.asked) for row in table(results[-1], 0)[:3]}
    assert results[-1].origin(0)["asked"]["areas"] == areas


def test_a_refinement_starts_from_the_candidates(model: Model, bank: Bank) -> None:
    request = SearchRequest(model, target_of(model, model.sample(seeds=[6]).labels[0]), count=2)
    first = next(run_search(request, bank, never, Mouse()))
    refined = SearchRequest(model, request.target, 2, strength=0.3)
    *_, last = islice(run_search(refined, bank, never, Mouse(), first.candidates), 4)
    assert last.candidates.offsets
    assert last.candidates.scores.max() >= first.candidates.scores.max()
    again = model.sample(latents=last.candidates.latents, offsets=last.candidates.offsets)
    np.testing.assert_array_equal(again.labels, last.batch.labels)
    assert last.batch.refined.any()
    best = f"the best has mean Dice {last.candidates.scores[0]:.2f}"
    assert describe(last) == f"{last.candidates.steps} steps, with changes of strength 0.3: {best}"


def test_with_a_lock_the_search_begins_at_the_image(model: Model, bank: Bank) -> None:
    latent = model.latents([9])[0]
    lock = Lock(latent, np.ones((16, 16), bool), "flair")
    request = SearchRequest(model, target_of(model, np.zeros((16, 16), np.uint8)), 2, lock=lock)
    result = next(run_search(request, bank, never, Mouse()))
    assert result.candidates.moved is not None
    unit = result.candidates.latents / np.linalg.norm(result.candidates.latents, axis=1, keepdims=True)
    assert (unit @ latent / np.linalg.norm(latent)).max() > 0.9999
    assert result.origin(0)["settings"]["lock"]["modality"] == "flair"


def test_a_superseded_search_ends_between_two_results(model: Model, bank: Bank) -> None:
    steps = []

    def superseded(done: int, _total: int) -> None:
        steps.append(done)
        if done > 4:
            raise Superseded

    request = SearchRequest(model, target_of(model, model.sample(seeds=[5]).labels[0]))
    running = run_search(request, bank, superseded, Mouse())
    with pytest.raises(Superseded):
        list(running)
    assert len(steps) == 5  # of which the first result takes two, and the second more than twenty


def test_a_search_pauses_during_a_stroke(model: Model, bank: Bank) -> None:
    mouse, results = Mouse(), []
    mouse.press()
    request = SearchRequest(model, target_of(model, model.sample(seeds=[5]).labels[0]))
    thread = threading.Thread(target=lambda: results.append(next(run_search(request, bank, never, mouse))), daemon=True)
    thread.start()
    time.sleep(0.3)
    assert results == []
    mouse.release()
    thread.join(20)
    assert len(results) == 1


def test_equal_search_requests_are_recognised(model: Model) -> None:
    labels = model.sample(seeds=[5]).labels[0]
    one, other = SearchRequest(model, target_of(model, labels)), SearchRequest(model, target_of(model, labels.copy()))
    assert one.same(other)
    assert not one.same(SearchRequest(model, one.target, count=7))
    assert not one.same(SearchRequest(model, one.target, lock=Lock(model.latents([1])[0], labels == 0)))
    card = model.card
    numbers = SearchRequest(model, TargetAreas(card.channels, card.grid, {1: 60.0}))
    assert numbers.same(SearchRequest(model, TargetAreas(card.channels, card.grid, {1: 60.0})))
    assert not numbers.same(SearchRequest(model, TargetAreas(card.channels, card.grid, {1: 90.0})))
    assert not numbers.same(one)


def test_the_table_has_areas_in_millimetres_and_dice(model: Model) -> None:
    asked, found = np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8)
    asked[:2], asked[8], asked[12:] = 1, 2, any_value(model.card.channels)
    found[:1], found[8], found[12:] = 1, 2, 4
    rows = mask_table(target_of(model, asked), found, model.card.channels, model.card.grid)
    assert [(row.name, row.asked, row.found) for row in rows] == [
        ("necrotic core", "192 mm²", "96 mm²"),  # 32 pixels of 6 mm²
        ("oedema", "96 mm²", "96 mm²"),
        ("enhancing tumour", "0 mm²", "0 mm²"),  # it lies where any label does
        ("all together", "288 mm²", "192 mm²"),
    ]
    assert [row.dice for row in rows] == [pytest.approx(2 / 3), 1, None, pytest.approx(0.8)]


def test_the_table_of_numbers_contains_the_target(model: Model) -> None:
    found = np.zeros((16, 16), np.uint8)
    found[:2, :4], found[2:4, :4] = 1, 4  # x grows to the patient's left, so this is on the right
    numbers = TargetAreas(model.card.channels, model.card.grid, {1: 60.0}, shares={4: 0.4}, side="right")
    rows = {row.name: (row.asked, row.found) for row in areas_table(numbers, found)}
    assert rows["necrotic core"] == ("60 mm²", "48 mm²")
    assert rows["all together"] == ("", "96 mm²")
    assert rows["enhancing tumour, share"] == ("40%", "50%")
    assert rows["on that side"] == ("right", "100%")


def test_a_choice_is_followed_where_it_goes(model: Model) -> None:
    latents = model.latents(range(4))
    assert nearest(latents[2] + 0.1 * latents[0], latents) == 2


def test_candidates_go_into_a_new_folder_with_their_origin(model: Model, bank: Bank, tmp_path: Path) -> None:
    request = SearchRequest(model, target_of(model, model.sample(seeds=[5]).labels[0]), count=2)
    result = next(run_search(request, bank, never, Mouse()))
    written = save_candidates(result, tmp_path / "found")
    assert {path.parent for path in written} == {tmp_path / "found"}
    made = json.loads((tmp_path / "found" / "candidate-1.json").read_text())["provenance"]
    again = model.sample(latents=np.array([made["latent"]], np.float32))
    np.testing.assert_array_equal(again.labels[0], result.batch.labels[0])
    assert made["model_identity"] == model.identity
    with pytest.raises(InputError, match="already exists"):
        save_candidates(result, tmp_path / "found")


def _number(text: str) -> float:
    return float(text.split()[0].replace(",", ""))
