"""A trainer on noise at any size, batch and widths; the cost of a step does not depend on the data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.profiler import record_function

from napari_pgan.model import Architecture, Encoding
from napari_pgan.schema import Channels, Label
from napari_pgan.training.dataset import Dataset
from napari_pgan.training.recipe import Recipe, read_recipe
from napari_pgan.training.schedule import Moment, Phase, Schedule
from napari_pgan.training.trainer import Trainer

CHANNELS = Channels(
    ("t1", "t1ce", "t2", "flair"),
    (Label(1, "necrotic core", "#4daf4a"), Label(2, "oedema", "#ffd92f"), Label(4, "enhancing tumour", "#e41a1c")),
)


class Noise(Dataset):
    """Noise images (`count`, 7, `size`, `size`) in the training's dataset."""

    def __init__(self, size: int, count: int, device: torch.device | str) -> None:
        random = torch.Generator().manual_seed(0)
        shape = (count, Encoding(CHANNELS).channel_count, size, size)
        super().__init__((torch.rand(shape, generator=random) * 2 - 1).half(), torch.zeros(count, 0), device)

    def batch(self, seen: int, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch, recorded as ``images`` in a profile."""
        with record_function("images"):
            return super().batch(seen, count, seed)


class Trial:
    """A trainer at its last size.

    Parameters
    ----------
    recipe
        Name of the recipe.
    size, batch
        Image size and batch size; 0 for the recipe's batch size.
    widths
        Feature maps, one number for all stages or one per stage; empty for the recipe's.
    device
        The training device.
    sets
        Further ``key=value`` overrides.
    """

    def __init__(
        self,
        recipe: str,
        size: int,
        batch: int = 0,
        widths: Sequence[int] = (),
        device: torch.device | str = "cpu",
        sets: Sequence[str] = (),
    ) -> None:
        stages = size.bit_length() - 2
        widths = list(widths) * (stages if len(widths) == 1 else 1)
        changes = [f"sizes.{4 * 2**s}.width={w}" for s, w in enumerate(widths)]
        changes += [f"sizes.{size}.stable=1000000", f"sizes.{size}.fade=0"]
        changes += [f"network.latent={widths[0]}"] if widths else []
        changes += [f"sizes.{size}.batch={batch}"] if batch else []
        self.recipe: Recipe = read_recipe(recipe, [*changes, *sets])
        network = self.recipe.network
        self.architecture = Architecture(
            base=(4, 4),
            widths=tuple(plan.width for plan in self.recipe.sizes.values())[:stages],
            channels=Encoding(CHANNELS).channel_count,
            latent=network.latent,
            sphere=network.sphere,
            pixelnorm=network.pixelnorm,
            equalized=network.equalized,
            stddev_group=network.stddev_group,
        )
        self.phase: Phase = Schedule(self.recipe, size).phases[-1]
        self.batch, self.lazy = self.phase.batch, self.recipe.loss.lazy
        self.trainer = Trainer(self.recipe, self.architecture, Encoding(CHANNELS), device)
        self.dataset = Noise(size, max(4 * self.batch, 16), device)

    def step(self, penalty: bool = True) -> dict[str, torch.Tensor]:
        """One training step, with or without a lazy penalty."""
        return self.trainer.step(Moment(self.phase, 1.0, 0 if penalty else 1), self.dataset)

    def parameters(self) -> tuple[int, int]:
        """Number of parameters of generator and critic."""
        networks = (self.trainer.generator, self.trainer.critic)
        return tuple(sum(p.numel() for p in network.parameters()) for network in networks)
