"""The search finds latents whose segmentation matches the target."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pgan.latent.steering import Bank, TargetAreas, TargetMask, any_value, cached_bank, make_bank, refine, steer
from napari_pgan.latent.steering import bank as steering_bank
from napari_pgan.latent.steering.bank import bank_path, bank_stage
from napari_pgan.latent.steering.search import Phase
from napari_pgan.model import Model, load_model

SHORT = (Phase(2, 3, 4), Phase(1, 2, 2), Phase(0, 15, 1))


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("default")


@pytest.fixture(scope="module")
def bank(model: Model) -> Bank:
    return make_bank(model, 512)


@pytest.fixture(scope="module")
def drawn(model: Model) -> np.ndarray:
    """A generated lesion of three labels, from a seed outside the bank."""
    labels = model.sample(seeds=range(40)).labels
    sizes = np.array([min((one == v).sum() for v in model.card.channels.values) for one in labels])
    return labels[sizes.argmax()]


def target_of(model: Model, labels: np.ndarray) -> TargetMask:
    return TargetMask.of(labels, model.card.channels, model.card.grid)


def test_the_bank_finds_its_own_entries(model: Model, bank: Bank) -> None:
    labels = model.sample(seeds=bank.seeds[:64], batch_size=32).labels
    large = [i for i in range(64) if (labels[i] > 0).sum() > 40]
    ranks = [int(np.flatnonzero(bank.rank(target_of(model, labels[i]), 4) == i)[0]) for i in large]
    assert len(large) >= 10
    assert np.median(ranks) == 0
    assert max(ranks) <= 5


def test_a_bank_records_entries_without_a_lesion(model: Model, bank: Bank) -> None:
    empty = target_of(model, np.zeros(model.card.grid.shape, np.uint8))
    best = bank.rank(empty, 4)[:8]
    assert (model.sample(seeds=[bank.seeds[i] for i in best]).labels > 0).mean() < 1e-3


def test_a_bank_is_cached_and_a_damaged_one_is_rebuilt(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(steering_bank.label_directions, "__defaults__", (64,))
    calls: list[int] = []
    first = cached_bank(model, 64, lambda done, _: calls.append(done))
    again = cached_bank(model, 64, lambda done, _: calls.append(done))
    assert calls == [64]
    assert torch.equal(first.shares, again.shares)
    assert torch.equal(first.directions, again.directions)
    assert torch.equal(first.heads, again.heads)
    path = bank_path(model, 64)
    path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])
    assert torch.equal(cached_bank(model, 64, lambda done, _: calls.append(done)).shares, first.shares)
    assert calls == [64, 64]


def test_candidates_reproduce_the_target(model: Model, bank: Bank, drawn: np.ndarray) -> None:
    target = target_of(model, drawn)
    results = list(steer(model, target, bank, candidates=3, phases=SHORT))
    scores = np.array([found.scores for found in results])
    assert (np.diff(scores.max(axis=1)) >= 0).all()  # the best so far never gets worse
    assert scores[-1].max() > scores[0].max() + 0.1
    assert results[-1].steps == 20
    made = model.sample(latents=results[-1].latents)
    np.testing.assert_array_equal(made.labels, results[-1].labels)
    np.testing.assert_allclose(target.score(made.labels), results[-1].scores)
    assert (np.diff(results[-1].scores) <= 0).all()


def test_candidates_differ_from_each_other(model: Model, bank: Bank, drawn: np.ndarray) -> None:
    *_, found = steer(model, target_of(model, drawn), bank, candidates=4, phases=SHORT)
    unit = found.latents / np.linalg.norm(found.latents, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(len(unit), dtype=bool)].max() < 0.9


def test_open_labels_allow_more_segmentations(model: Model, bank: Bank, drawn: np.ndarray) -> None:
    """With half of the labels left open, more segmentations match, and no score falls."""
    half = drawn.copy()
    half[drawn == model.card.channels.values[1]] = any_value(model.card.channels)
    labels = model.sample(seeds=range(100, 140)).labels
    objective = target_of(model, half).objective(model.encoding)
    torch.manual_seed(0)
    x = torch.randn(1, model.encoding.channel_count, *drawn.shape)
    changed = torch.where(torch.from_numpy(target_of(model, half).open), torch.randn_like(x), x)
    assert torch.allclose(objective(x), objective(changed))
    assert target_of(model, half).score(labels).shape == (40,)


def test_gradients_lead_to_the_target(model: Model, drawn: np.ndarray) -> None:
    """Among all channels with values in [-1, 1], the encoded target is nearest."""
    target = target_of(model, drawn)
    objective = target.objective(model.encoding)
    fractions = model.encoding.fractions(torch.from_numpy(drawn)[None])
    images = torch.zeros(1, model.encoding.modality_count, *drawn.shape)
    exact = model.encoding.encode(images, fractions)
    assert all(objective(exact) < objective(exact * (1 - share)) for share in (0.1, 0.5, 1.0))
    turned = torch.flip(exact, (3,))
    assert objective(turned) > objective(exact) + 0.5


def test_a_search_ends_when_its_time_is_over(model: Model, bank: Bank, drawn: np.ndarray) -> None:
    began = time.monotonic()
    results = list(steer(model, target_of(model, drawn), bank, candidates=2, seconds=0.0))
    results += refine(model, target_of(model, drawn), results[-1], seconds=0.0)
    assert [found.steps for found in results] == [0, 0]  # without time, the best of the bank are returned
    assert time.monotonic() - began < 60
    some = list(steer(model, target_of(model, drawn), bank, candidates=2, phases=(Phase(1, 2, 1), Phase(0, 6, 1))))
    assert [found.steps for found in some] == [0, 5, 8]


def test_directions_are_sorted_by_how_much_they_move_the_segmentation(model: Model, bank: Bank) -> None:
    assert torch.allclose(bank.directions.T @ bank.directions, torch.eye(len(bank.directions)), atol=1e-4)
    z = torch.from_numpy(model.latents(range(32)))
    before, moved = model.encoding.probabilities(model.generate(z)), []
    for column in (0, len(bank.directions) // 2, -1):
        after = model.encoding.probabilities(model.generate(z + 2 * bank.directions[:, column]))
        moved.append(float((after - before).abs().mean()))
    assert moved[0] < moved[1] < moved[2]
    assert moved[2] > 3 * moved[0]


def test_a_drawing_outside_the_head_is_reported(model: Model, bank: Bank) -> None:
    drawing = np.zeros(model.card.grid.shape, np.uint8)
    drawing[:3, :] = drawing[30:33, 30:40] = 2
    assert bank.outside(target_of(model, drawing)) == pytest.approx(192 / 222, abs=0.02)
    assert bank.outside(target_of(model, np.zeros_like(drawing))) == 0


def test_images_of_the_bank_have_sixteen_pixels_a_side(model: Model) -> None:
    assert model.card.architecture.shape(bank_stage(model)) == (16, 16)


@pytest.mark.parametrize("area", [100, 400, 1600])
def test_lesions_of_any_size_can_be_requested(model: Model, bank: Bank, area: float) -> None:
    """Areas are in mm², the smallest 11 pixels; the result is at least as near as the best of two hundred samples."""
    target = TargetAreas(model.card.channels, model.card.grid, lesion=area)
    samples = model.sample(seeds=range(900_000, 900_200), batch_size=32).labels
    *_, found = itertools.islice(steer(model, target, bank, candidates=3), 8)
    assert found.scores[0] > 0.85
    assert found.scores[0] >= target.score(samples).max() - 0.05
