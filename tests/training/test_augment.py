"""Augmentation moves image and mask together and leaves the mask's values alone."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.training.augment import Augmentation, adapted
from napari_pgan.training.randomness import generator_for
from napari_pgan.training.recipe import Augment


def augment(x: torch.Tensor, seed: int = 0, probability: float = 1.0, **plan: float) -> torch.Tensor:
    change = Augmentation(Augment(probability=min(probability, 0.8), **plan), modalities=2, dimensions=x.ndim - 2)
    return change(x, change.draw(len(x), generator_for(seed, "test", 0)), probability)


def blobs(n: int = 64, dimensions: int = 2) -> torch.Tensor:
    """A bright square in two modalities and, at the same place, in a label channel."""
    x = -torch.ones(n, 3, *[16] * dimensions)
    x[(slice(None), slice(None), *[slice(6, 10)] * dimensions)] = 0.5
    x[(slice(None), slice(2, 3), *[slice(6, 10)] * dimensions)] = 1.0
    return x


@pytest.mark.parametrize("dimensions", [2, 3])
def test_image_and_label_move_together(dimensions: int) -> None:
    x = augment(blobs(dimensions=dimensions), probability=1.0, translate=0.25, gain=0.0)
    inside = x[:, 2] > 0
    assert torch.equal(x[:, 0] > -1, inside)
    assert torch.equal(x[:, 1] > -1, inside)
    firsts = inside.flatten(1).float().argmax(1)
    assert len(firsts.unique()) > 5  # they did move, and not all alike


def test_intensity_touches_modalities_only_and_keeps_the_background_black() -> None:
    before = blobs()
    x = augment(before, probability=1.0, translate=0.0, gain=0.3)
    assert torch.equal(x[:, 2], before[:, 2])
    assert torch.equal(x[:, :2] == -1, before[:, :2] == -1)
    gains = ((x[:, :2] + 1) / (before[:, :2] + 1).clamp(min=1e-9))[:, :, 7, 7]
    assert 0.7 <= gains.min() < 0.9 < 1.1 < gains.max() <= 1.3
    assert not torch.equal(gains[:, 0], gains[:, 1])


def test_about_as_many_images_change_as_the_probability_says() -> None:
    before = blobs(2000)
    x = augment(before, probability=0.3, translate=0.25, gain=0.0)
    moved = (x != before).flatten(1).any(1).float().mean().item()
    assert moved == pytest.approx(0.3 * (1 - 1 / 81), abs=0.04)  # one shift in 9 × 9 is none


def test_nothing_changes_at_probability_0_and_the_same_draw_gives_the_same_change() -> None:
    x = blobs()
    assert augment(x, probability=0.0) is x
    first, again, other = (augment(x, seed, probability=0.5) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_gradients_pass_through() -> None:
    x = blobs(8).requires_grad_(True)
    augment(x, probability=1.0, translate=0.0, gain=0.2).sum().backward()
    assert x.grad is not None
    assert (x.grad[:, 2] == 1).all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_turn_keeps_the_centre_and_the_size_and_a_zoom_changes_it(dimensions: int) -> None:
    before = blobs(80, dimensions)
    middle = (slice(None), 0, *[slice(7, 9)] * dimensions)
    before[middle] = 0.9  # a mark
    sizes = {}
    for zoom in (0.0, 0.3):
        x = augment(before, probability=1.0, translate=0.0, gain=0.0, rotate=45, zoom=zoom)
        assert not torch.equal(x, before)
        assert x[middle].mean().item() == pytest.approx(0.9, abs=0.1)
        sizes[zoom] = ((x[:, 2] + 1) / 2).flatten(1).sum(1) / 4**dimensions
    assert ((sizes[0.0] - 1).abs() < 0.06).all()
    assert sizes[0.3].min() < 1 / 1.3 < 1.3 < sizes[0.3].max()


def test_a_turn_by_ninety_degrees_on_a_grid_that_is_not_square_is_rigid() -> None:
    plan = Augment(probability=0.8, translate=0.0, gain=0.0, rotate=90)
    x = -torch.ones(1, 3, 16, 24)
    x[:, :, 7:9, 8:16] = 1.0  # a bar, 8 wide and 2 high
    change = Augmentation(plan, modalities=2)
    drawn = change.draw(1, generator_for(0, "test", 0))
    drawn[0, :3] = torch.tensor([0.0, 1.0, 0.5])  # turned, by +90 degrees, not enlarged
    turned = (change(x, drawn, 0.8)[0, 2] > 0).nonzero()
    height, width = (turned.max(0).values - turned.min(0).values + 1).tolist()
    assert (height, width) == (8, 2)


def test_images_that_are_not_turned_stay_bit_for_bit() -> None:
    before = blobs(2000)
    x = augment(before, probability=0.25, translate=0.0, gain=0.0, rotate=30)
    changed = (x != before).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(0.25, abs=0.04)


def test_the_probability_follows_how_far_the_critic_is_ahead() -> None:
    plan = Augment(probability=0.2, target=0.6, pace=1000)
    p = torch.tensor(0.2)
    assert adapted(p, torch.tensor(0.9), 100, plan).item() == pytest.approx(0.3)
    assert adapted(p, torch.tensor(0.1), 100, plan).item() == pytest.approx(0.1)
    for _ in range(50):
        p = adapted(p, torch.tensor(1.0), 100, plan)
    assert p.item() == pytest.approx(0.8)  # the unchanged image stays as likely as ADA wants it
    for _ in range(50):
        p = adapted(p, torch.tensor(-1.0), 100, plan)
    assert p.item() == 0
    assert adapted(torch.tensor(0.2), torch.tensor(1.0), 100, Augment(probability=0.2)).item() == pytest.approx(0.2)
