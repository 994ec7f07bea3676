"""How many numbers networks train, and how many operations an image takes, without computing anything."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from napari_pgan.model import Architecture, Critic, Generator


def operations(architecture: Architecture) -> list[int]:
    """For each stage, the multiply-adds of one image's way through the generator and the critic."""
    counts = []
    with FakeTensorMode(), torch.no_grad():  # nothing is computed
        generator, critic = Generator(architecture), Critic(architecture)
        told = torch.empty(1, architecture.conditions) if architecture.conditions else None
        for stage in range(architecture.stages):
            with FlopCounterMode(display=False) as counter:
                image = generator(torch.empty(1, architecture.latent), stage, 1.0, told)
                critic(image, stage, 1.0, told)
            counts.append(counter.get_total_flops() // 2)
    return counts


def parameters(architecture: Architecture, stage: int) -> tuple[int, int]:
    """The numbers that generator and critic train at a stage once it is stable."""
    stages = replace(architecture, widths=architecture.widths[: stage + 1])
    with torch.device("meta"):
        networks = Generator(stages), Critic(stages)
    ends = networks[0].heads, networks[1].tails
    every, unused = ([sum(p.numel() for p in m.parameters()) for m in which] for which in (networks, ends))
    last = [sum(p.numel() for p in end[-1].parameters()) for end in ends]
    return every[0] - unused[0] + last[0], every[1] - unused[1] + last[1]
