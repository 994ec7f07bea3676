"""Augmentation moves image and labels together and keeps the values of labels."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.training.augment import Augmentation, adapt_probability
from napari_pgan.training.randomness import generator_for
from napari_pgan.training.recipe import Augment


def augment(x: torch.Tensor, seed: int = 0, probability: float = 1.0, **plan: float) -> torch.Tensor:
    change = Augmentation(Augment(probability=min(probability, 0.8), **plan), modalities=2, dimensions=x.ndim - 2)
    return change(x, change.draw(len(x), generator_for(seed, "test", 0)), probability)


def blobs(n: int = 64, dimensions: int = 2) -> torch.Tensor:
    """A bright square in two modalities and a label channel."""
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
    assert len(firsts.unique()) > 5  # they moved by different amounts


def test_intensity_changes_only_modalities_and_keeps_the_background() -> None:
    before = blobs()
    x = augment(before, probability=1.0, translate=0.0, gain=0.3)
    assert torch.equal(x[:, 2], before[:, 2])
    assert torch.equal(x[:, :2] == -1, before[:, :2] == -1)
    gains = ((x[:, :2] + 1) / (before[:, :2] + 1).clamp(min=1e-9))[:, :, 7, 7]
    assert 0.7 <= gains.min() < 0.9 < 1.1 < gains.max() <= 1.3
    assert not torch.equal(gains[:, 0], gains[:, 1])


def test_share_of_changed_images_is_the_probability() -> None:
    before = blobs(2000)
    x = augment(before, probability=0.3, translate=0.25, gain=0.0)
    moved = (x != before).flatten(1).any(1).float().mean().item()
    assert moved == pytest.approx(0.3 * (1 - 1 / 81), abs=0.04)  # one of 9 × 9 shifts is zero


def test_augmentation_is_deterministic_and_off_at_probability_0() -> None:
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
def test_rotation_keeps_centre_and_area_and_zoom_changes_area(dimensions: int) -> None:
    before = blobs(80, dimensions)
    middle = (slice(None), 0, *[slice(7, 9)] * dimensions)
    before[middle] = 0.9  # marks the centre
    sizes = {}
    for zoom in (0.0, 0.3):
        x = augment(before, probability=1.0, translate=0.0, gain=0.0, rotate=45, zoom=zoom)
        assert not torch.equal(x, before)
        assert x[middle].mean().item() == pytest.approx(0.9, abs=0.1)
        sizes[zoom] = ((x[:, 2] + 1) / 2).flatten(1).sum(1) / 4**dimensions
    assert ((sizes[0.0] - 1).abs() < 0.06).all()
    assert sizes[0.3].min() < 1 / 1.3 < 1.3 < sizes[0.3].max()


def test_rotation_by_90_degrees_is_rigid_on_a_grid_that_is_not_square() -> None:
    plan = Augment(probability=0.8, translate=0.0, gain=0.0, rotate=90)
    x = -torch.ones(1, 3, 16, 24)
    x[:, :, 7:9, 8:16] = 1.0  # a bar, 8 wide and 2 high
    change = Augmentation(plan, modalities=2)
    drawn = change.draw(1, generator_for(0, "test", 0))
    drawn[0, :3] = torch.tensor([0.0, 1.0, 0.5])  # rotated by +90 degrees, not zoomed
    turned = (change(x, drawn, 0.8)[0, 2] > 0).nonzero()
    height, width = (turned.max(0).values - turned.min(0).values + 1).tolist()
    assert (height, width) == (8, 2)


def test_images_that_are_not_rotated_are_identical() -> None:
    before = blobs(2000)
    x = augment(before, probability=0.25, translate=0.0, gain=0.0, rotate=30)
    changed = (x != before).flatten(1).any(1).float().mean().item()
    assert changed == pytest.approx(0.25, abs=0.04)


def test_probability_follows_the_critic() -> None:
    plan = Augment(probability=0.2, target=0.6, pace=1000)
    p = torch.tensor(0.2)
    assert adapt_probability(p, torch.tensor(0.9), 100, plan).item() == pytest.approx(0.3)
    assert adapt_probability(p, torch.tensor(0.1), 100, plan).item() == pytest.approx(0.1)
    for _ in range(50):
        p = adapt_probability(p, torch.tensor(1.0), 100, plan)
    assert p.item() == pytest.approx(0.8)  # the limit
    for _ in range(50):
        p = adapt_probability(p, torch.tensor(-1.0), 100, plan)
    assert p.item() == 0
    assert adapt_probability(
        torch.tensor(0.2), torch.tensor(1.0), 100, Augment(probability=0.2)
    ).item() == pytest.approx(0.2)
