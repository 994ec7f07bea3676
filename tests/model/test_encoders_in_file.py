"""Encoders in a model file; the rest of the file does not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_pgan.errors import InputError
from napari_pgan.latent.encoder import encode
from napari_pgan.model import (
    Card,
    Critic,
    Encoders,
    EncoderShape,
    Model,
    add_encoders,
    load_model,
    read_card,
    read_critic,
    read_encoders,
    write_model,
)
from napari_pgan.model.model_file import METADATA_KEY

SHAPE = EncoderShape(1, 8, 16)


@pytest.fixture
def encoders(small_card: Card) -> Encoders:
    """Untrained encoders whose output depends on their input."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        made = Encoders(small_card.architecture, small_card.channels, SHAPE)
        assert made.labels is not None
        for network in (made.images, made.labels):
            network.basis.normal_(0, 0.1)
    return made.eval().requires_grad_(False)


@pytest.fixture
def path(tmp_path: Path, small_card: Card, small_model: Model) -> Path:
    critic = Critic(small_card.architecture)
    write_model(tmp_path / "m.safetensors", small_card, small_model.generator, critic)
    return tmp_path / "m.safetensors"


def test_a_file_without_encoders_loads_and_says_so(path: Path) -> None:
    assert read_encoders(path) is None
    model = load_model(path)
    assert model.encoders is None
    with pytest.raises(InputError, match="has no encoders; `napari-pgan-train encoder MODEL`"):
        encode(model, images=np.zeros((1, 4, 16, 20), np.float32))


def test_adding_encoders_changes_nothing_else_in_the_file(path: Path, encoders: Encoders) -> None:
    before, card, identity = load_file(path), read_card(path), load_model(path).identity
    add_encoders(path, encoders, {"samples": 5})
    after = load_file(path)
    assert {name: after[name].numpy().tobytes() for name in before} == {
        k: v.numpy().tobytes() for k, v in before.items()
    }
    assert load_model(path).identity == identity
    assert read_critic(path) is not None
    updated = read_card(path)
    assert updated.encoders == {**SHAPE.to_dict(), "samples": 5}
    assert {k: v for k, v in updated.to_dict().items() if k != "encoders"} == card.to_dict()
    add_encoders(path, encoders, {"samples": 6})  # replaces the first encoders
    assert set(load_file(path)) == set(after)
    assert read_card(path).encoders["samples"] == 6


def test_half_precision_hardly_changes_encodings(
    path: Path, encoders: Encoders, small_card: Card, small_model: Model
) -> None:
    add_encoders(path, encoders, {})
    images = small_model.sample(seeds=range(40)).images
    full = encode(Model(small_card, small_model.generator, encoders), images=images)
    half = encode(load_model(path), images=images)
    cosine = (full * half).sum(axis=1) / (np.linalg.norm(full, axis=1) * np.linalg.norm(half, axis=1))
    assert cosine.min() > 0.9999


def test_a_rewritten_model_does_not_claim_encoders(path: Path, encoders: Encoders, tmp_path: Path) -> None:
    add_encoders(path, encoders, {})
    model = load_model(path)
    write_model(tmp_path / "again.safetensors", model.card, model.generator)
    assert not read_card(tmp_path / "again.safetensors").encoders
    assert load_model(tmp_path / "again.safetensors").encoders is None


@pytest.mark.parametrize(
    ("encoders_card", "message"),
    [
        ('{"stage": 1, "components": 8, "hidden": 15}', "do not fit its card"),
        ('{"stage": 3, "components": 8, "hidden": 16}', "stage of the encoders does not exist"),
        ('{"stage": 1, "components": 8}', "lacks 'hidden'"),
        ('{"stage": 1, "components": -8, "hidden": 16}', "whole numbers"),
        ("7", "encoders is not a mapping"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(path: Path, encoders: Encoders, encoders_card: str, message: str) -> None:
    add_encoders(path, encoders, {"x": "mark"})
    text = read_card(path).to_json()
    start = text.index('"encoders": ') + len('"encoders": ')
    changed = text[:start] + encoders_card + "}"
    save_file(load_file(path), path, metadata={METADATA_KEY: changed})
    with pytest.raises(InputError, match=message):
        load_model(path)


def test_a_row_is_encoded_independently_of_its_batch(small_card: Card, small_model: Model, encoders: Encoders) -> None:
    model = Model(small_card, small_model.generator, encoders)
    batch = model.sample(seeds=range(12))
    together = encode(model, images=batch.images), encode(model, labels=batch.labels)
    for row in (0, 7, 11):
        alone = encode(model, images=batch.images[row : row + 1]), encode(model, labels=batch.labels[row : row + 1])
        for one, many in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], many[row], atol=1e-5)
    odd = batch.images.copy()
    odd[1:] = 1.0  # the result must not depend on the other rows
    np.testing.assert_allclose(encode(model, images=odd)[0], together[0][0], atol=1e-5)
