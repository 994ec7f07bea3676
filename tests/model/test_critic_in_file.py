"""The critic in a model file: loaded to resume training, not read for sampling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_pgan.errors import InputError
from napari_pgan.model import Card, Critic, Generator, Model, load_model, read_critic, write_model
from napari_pgan.model.model_file import METADATA_KEY, holds_critic


@pytest.fixture
def critic(small_card: Card) -> Critic:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Critic(small_card.architecture)


@pytest.fixture
def path(tmp_path: Path, small_card: Card, small_model: Model, critic: Critic) -> Path:
    write_model(tmp_path / "m.safetensors", small_card, small_model.generator, critic)
    return tmp_path / "m.safetensors"


@pytest.mark.parametrize("equalized", [True, False])
def test_half_precision_hardly_changes_scores(
    equalized: bool, tmp_path: Path, small_card: Card, small_model: Model
) -> None:
    architecture = replace(small_card.architecture, equalized=equalized)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        full, generator = Critic(architecture).eval().requires_grad_(False), Generator(architecture)
    write_model(tmp_path / "m.safetensors", replace(small_card, architecture=architecture), generator, full)
    half = read_critic(tmp_path / "m.safetensors")
    assert half is not None
    images = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (200, 7, 16, 20)).astype(np.float32))
    images *= torch.linspace(0.02, 1, 200).reshape(-1, 1, 1, 1)
    before, after = (c(images, 2).numpy() for c in (full, half))
    assert np.abs(after - before).max() < 0.01 * before.std()
    ranks = [np.argsort(np.argsort(x)) for x in (before, after)]
    assert np.corrcoef(*ranks)[0, 1] > 0.999


def test_a_stored_critic_takes_half_the_space_and_sampling_does_not_read_it(
    path: Path, tmp_path: Path, small_card: Card, small_model: Model, critic: Critic
) -> None:
    write_model(tmp_path / "alone.safetensors", small_card, small_model.generator)
    numbers = sum(p.numel() for p in critic.parameters())
    names = 20_000  # upper limit for the bytes of the tensor names
    assert 2 * numbers < path.stat().st_size - (tmp_path / "alone.safetensors").stat().st_size < 2 * numbers + names
    tensors = load_file(path)
    for name in tensors:
        if name.startswith("critic."):
            tensors[name] = torch.full((1,), torch.nan)  # unusable values
    save_file(tensors, path, metadata={METADATA_KEY: small_card.to_json()})
    batch = load_model(path).sample(seeds=[4])
    assert batch.images.tobytes() == small_model.sample(seeds=[4]).images.tobytes()
    with pytest.raises(InputError, match="do not fit its card"):
        read_critic(path)


def test_a_file_without_a_critic_says_so(tmp_path: Path, path: Path, small_card: Card, small_model: Model) -> None:
    write_model(tmp_path / "alone.safetensors", small_card, small_model.generator)
    assert read_critic(tmp_path / "alone.safetensors") is None
    assert not holds_critic(tmp_path / "alone.safetensors")
    assert holds_critic(path)


def test_a_number_beyond_half_precision_survives(
    path: Path, small_card: Card, small_model: Model, critic: Critic
) -> None:
    with torch.no_grad():
        critic.score.bias.fill_(1e6)
    write_model(path, small_card, small_model.generator, critic)
    read = read_critic(path)
    assert read is not None
    assert read.score.bias.item() == 1e6
