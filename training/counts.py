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
        networks = Generator(stages), Critic(stages)
    ends = networks[0].heads, networks[1].tails
    total, outputs = ([sum(p.numel() for p in m.parameters()) for m in which] for which in (networks, ends))
    last = [sum(p.numel() for p in end[-1].parameters()) for end in ends]
    return total[0] - outputs[0] + last[0], total[1] - outputs[1] + last[1]
