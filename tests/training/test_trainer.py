"""The trainer on a store: dataset order, fade-in, EMA, every phase of every recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_pgan.model import Encoding
from napari_pgan.model.layers import down
from napari_pgan.store import open_store
from napari_pgan.training.dataset import RealDataset
from napari_pgan.training.plan_architecture import plan_architecture
from napari_pgan.training.recipe import Ema, Recipe, read_recipe
from napari_pgan.training.schedule import Schedule
from napari_pgan.training.trainer import Trainer, fade_reals

SMALL = [f"sizes.{size}.{key}" for size in (4, 8, 16) for key in ("width=8", "batch=4", "fade=40", "stable=40")]


def setting(store_path: Path, name: str = "default", *more: str) -> tuple[Recipe, Trainer, RealDataset, Schedule]:
    recipe = read_recipe(name, [*SMALL, "precision=float32", *more])
    store = open_store(str(store_path))
    architecture, encoding, conditions = plan_architecture(recipe, store, 16)
    dataset = RealDataset(store, "train", 16, encoding, conditions)
    return recipe, Trainer(recipe, architecture, encoding, "cpu"), dataset, Schedule(recipe, 16)


def test_each_epoch_is_another_permutation(small_store: Path) -> None:
    _, _, dataset, _ = setting(small_store)
    n = len(dataset)
    first, second = (torch.cat([dataset.batch(e * n + i, 1, 0)[0] for i in range(n)]) for e in (0, 1))
    assert not torch.equal(first, second)
    key = lambda x: sorted(x.flatten(1).double().sum(1).tolist())  # noqa: E731
    assert key(first) == key(second) == key(dataset.images.float())


def test_batch_across_an_epoch_boundary(small_store: Path) -> None:
    _, _, dataset, _ = setting(small_store)
    n = len(dataset)
    joined, _ = dataset.batch(n - 2, 5, 0)
    apart = torch.cat([dataset.batch(n - 2, 2, 0)[0], dataset.batch(n, 3, 0)[0]])
    assert torch.equal(joined, apart)


def test_dataset_holds_the_slices_as_channels(small_store: Path) -> None:
    _, _, dataset, _ = setting(small_store)
    store = open_store(str(small_store))
    slices = store.load_slices("train", 16)
    expected = Encoding(store.channels).encode(torch.from_numpy(slices.images), torch.from_numpy(slices.labels))
    assert torch.allclose(dataset.images.float(), expected, atol=1e-3)


def test_mirrored_copies_are_appended(small_store: Path) -> None:
    _, _, dataset, _ = setting(small_store)
    store = open_store(str(small_store))
    both = RealDataset(store, "train", 16, Encoding(store.channels), mirror=-1)
    assert len(both) == 2 * len(dataset)
    assert torch.equal(both.images[len(dataset) :], dataset.images.flip(-1))


def test_fade_removes_detail_and_keeps_averages() -> None:
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(fade_reals(x, 1.0), x)
    coarse = fade_reals(x, 0.0)
    assert torch.equal(coarse[..., ::2, ::2], coarse[..., 1::2, 1::2])
    for alpha in (0.0, 0.3, 1.0):  # box averages do not change
        assert torch.allclose(down(fade_reals(x, alpha)), down(x), atol=1e-6)


def test_only_layers_in_use_are_trained(small_store: Path) -> None:
    _, trainer, _, schedule = setting(small_store)
    before = {k: v.clone() for k, v in trainer.generator.state_dict().items()}
    first = schedule.at(0)
    assert first.phase.size == 4
    store = open_store(str(small_store))
    trainer.step(first, RealDataset(store, "train", 4, Encoding(store.channels)))
    after = trainer.generator.state_dict()
    assert not torch.equal(before["dense.weight"], after["dense.weight"])
    assert not torch.equal(before["heads.0.weight"], after["heads.0.weight"])
    assert torch.equal(before["blocks.0.grow.weight"], after["blocks.0.grow.weight"])
    assert torch.equal(before["heads.1.weight"], after["heads.1.weight"])


def test_ema_halves_its_distance_in_a_halflife(small_store: Path) -> None:
    recipe, _, _, _ = setting(small_store)
    store = open_store(str(small_store))
    architecture, encoding, _ = plan_architecture(recipe, store, 16)
    trainer = Trainer(replace(recipe, ema=Ema(kind="halflife", halflife=80)), architecture, encoding, "cpu")
    trainer.seen = 10**9
    with torch.no_grad():
        for ema, own in zip(trainer.ema.parameters(), trainer.generator.parameters(), strict=True):
            ema.zero_()
            own.fill_(1.0)
    for _ in range(10):
        trainer._update_ema(8)
    assert trainer.ema.dense.weight.mean().item() == pytest.approx(0.5, abs=1e-5)


def test_without_ema_the_generator_is_sampled(small_store: Path) -> None:
    _, trainer, dataset, schedule = setting(small_store, "beers2018-mri")
    moment = schedule.at(schedule.images - 4)
    for _ in range(2):
        trainer.step(moment, dataset)
    for ema, own in zip(trainer.ema.parameters(), trainer.generator.parameters(), strict=True):
        assert torch.equal(ema, own)


def test_lazy_penalties_correct_learning_rate_and_betas(small_store: Path) -> None:
    _, trainer, dataset, schedule = setting(small_store, "default", "loss.lazy=16", "optimizer.betas=[0.5, 0.99]")
    trainer.step(schedule.at(schedule.images - 4), dataset)
    critic, generator = trainer.critic_adam.param_groups[0], trainer.generator_adam.param_groups[0]
    assert critic["lr"] == pytest.approx(generator["lr"] * 16 / 17)
    assert critic["betas"] == pytest.approx((0.5 ** (16 / 17), 0.99 ** (16 / 17)))


@pytest.mark.parametrize("name", ["default", "demo", "karras2018", "beers2018-mri", "beers2018-mri-nomask"])
def test_every_recipe_trains_through_every_phase(name: str, small_store: Path) -> None:
    recipe = read_recipe(name, SMALL)
    store = open_store(str(small_store))
    architecture, encoding, conditions = plan_architecture(recipe, store, 16)
    trainer, schedule = Trainer(recipe, architecture, encoding, "cpu"), Schedule(recipe, 16)
    for phase in schedule.phases:
        dataset = RealDataset(store, "train", phase.size, encoding, conditions)
        for images in (phase.start, phase.start + phase.batch):
            losses = trainer.step(schedule.at(images), dataset)
            assert all(torch.isfinite(value) for value in losses.values())
    assert architecture.channels == {"beers2018-mri": 5, "beers2018-mri-nomask": 4}.get(name, 7)


def test_condition_reaches_both_networks(small_store: Path) -> None:
    recipe = read_recipe("default", [*SMALL, "network.conditions=[slice_position]"])
    store = open_store(str(small_store))
    architecture, encoding, conditions = plan_architecture(recipe, store, 16)
    trainer = Trainer(recipe, architecture, encoding, "cpu")
    dataset = RealDataset(store, "train", 16, encoding, conditions)
    assert dataset.conditions.min() >= -1
    assert dataset.conditions.std() > 0.3
    z, x = torch.zeros(2, architecture.latent), torch.rand(1, architecture.channels, 16, 16).repeat(2, 1, 1, 1)
    conditions_of = torch.tensor([[-1.0], [1.0]])
    with torch.no_grad():
        made = trainer.generator(z + 1, conditions=conditions_of)
        scores = trainer.critic(x, 2, 1.0, conditions_of)
    assert not torch.allclose(made[0], made[1])
    assert not torch.allclose(scores[0], scores[1])
