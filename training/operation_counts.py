"""Count the parameters of networks and the operations of an image, without computing anything."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from napari_pgan.model import Architecture, Critic, Generator


def operations(architecture: Architecture) -> list[int]:
    """Return, for each stage, the multiply-adds of one image in the generator and the critic."""
    counts = []
    with FakeTensorMode(), torch.no_grad():
        generator, critic = Generator(architecture), Critic(architecture)
        conditions = torch.empty(1, architecture.conditions) if architecture.conditions else None
        for stage in range(architecture.stages):
            with FlopCounterMode(display=False) as counter:
                image = generator(torch.empty(1, architecture.latent), stage, 1.0, conditions)
                critic(image, stage, 1.0, conditions)
            counts.append(counter.get_total_flops() // 2)
    return counts


def parameters(architecture: Architecture, stage: int) -> tuple[int, int]:
    """Return the parameters that generator and critic train at a stage after its fade-in."""
    stages = replace(architecture, widths=architecture.widths[: stage + 1])
    with torch.device("meta"):
        generator, critic = Generator(stages), Critic(stages)
    return _count(generator) - _count(generator.heads[:-1]), _count(critic) - _count(critic.tails[:-1])


def _count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
