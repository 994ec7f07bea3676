"""Augmentation moves image and mask together and leaves the mask's values alone."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.training.augment import Augmentation
from napari_pgan.training.randomness import generator_for
from napari_pgan.training.recipe import Augment


def augment(x: torch.Tensor, seed: int = 0, **plan: float) -> torch.Tensor:
    return Augmentation(Augment(**plan), modalities=2)(x, generator_for(seed, "test", 0))


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
