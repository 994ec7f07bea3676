"""Augmentation must not leak into samples."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.model import Architecture, Encoding
from napari_pgan.schema import Channels, Label
from napari_pgan.training.augment import Augmentation
from napari_pgan.training.randomness import generator_for
from napari_pgan.training.recipe import read_recipe
from napari_pgan.training.schedule import Moment, Phase
from napari_pgan.training.trainer import Trainer

ENCODING = Encoding(Channels(("t1",), (Label(1, "lesion", "#ff0000"),)))


class Squares:
    """A dataset of bright squares with their label, in the middle or one pixel off."""

    crisp = False

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.images = -torch.ones(512, 2, 8, 8)
        for image in self.images:
            row, column = (3 + int(torch.randint(-1, 1, (1,), generator=random)) for _ in range(2))
            image[0, row : row + 3, column : column + 3] = 0.2 + 0.2 * torch.rand((), generator=random)
            image[1, row : row + 3, column : column + 3] = 1.0

    def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.randint(512, (count,), generator=generator_for(seed, "order", seen))
        return self.images[index], torch.zeros(count, 0)


def facts(x: torch.Tensor) -> tuple[float, float, float]:
    """Mean distance of labels from the centre (pixels), mean and spread of the brightness of the square."""
    weight = (x[:, 1].clamp(-1, 1) + 1) / 2
    total = weight.sum((1, 2)).clamp(min=1e-6)
    line = torch.arange(8.0) - 3.5
    row, column = (weight.sum(2) @ line / total, weight.sum(1) @ line / total)
    bright = x[:, 0].flatten(1).topk(4).values.mean(1)
    return (row.square() + column.square()).sqrt().mean().item(), bright.mean().item(), bright.std().item()


def test_samples_have_position_and_brightness_of_unchanged_images() -> None:
    sets = ["precision=float32", "network.latent=16", "augment.probability=0.4", "augment.translate=0.25"]
    recipe = read_recipe("demo", [*sets, "augment.gain=0.6", "ema.halflife=1000"])
    cohort, change = Squares(), Augmentation(recipe.augment, 1)
    drawn = change.draw(512, generator_for(1, "test", 0))
    away, _, spread = facts(cohort.images)
    away_changed, _, spread_changed = facts(change(cohort.images, drawn, 0.4))
    assert away_changed > 1.3 * away  # or a leak would not be visible
    assert spread_changed > 2 * spread

    trainer = Trainer(recipe, Architecture((4, 4), (16, 16), 2, latent=16), ENCODING, "cpu")
    phase = Phase(1, 8, False, 0, 10**6, 32, 3e-3)
    for step in range(500):
        trainer.step(Moment(phase, 1.0, step), cohort)  # type: ignore[arg-type]
    with torch.no_grad():
        z = torch.randn(512, 16, generator=torch.Generator().manual_seed(9))
        away_sample, bright_sample, spread_sample = facts(trainer.ema(z, 1))
    assert away_sample < (away + away_changed) / 2
    assert spread_sample < (spread + spread_changed) / 2
    assert bright_sample == pytest.approx(facts(cohort.images)[1], abs=0.25)  # a small network, trained for seconds
