"""The weights of one model in the networks of another training.

What the model has not learnt joins so that the networks do, at first, what they did before (as in Net2Net, Chen et al.
2016, arXiv:1511.05641): the critic does not look at a new channel yet, a new number of the latent does not move the
image yet, a new label is nowhere, and a new modality shows the mean of those that are known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch

from napari_pgan.model import Critic, Generator, read_critic, read_model
from napari_pgan.model.layers import Conv, Dense
from napari_pgan.training.init import Start
from napari_pgan.training.trainer import Trainer

_BACKGROUND = -1.0


@torch.no_grad()
def start_from(trainer: Trainer, start: Start) -> None:
    """Put a model's weights into the generator, its running mean, and, where the file holds one, the critic.

    Parameters
    ----------
    trainer
        At its start.
    start
        What `plan_start` gave for the trainer's architecture, encoding and conditions.
    """
    graft_generator(trainer.generator, read_model(start.path).generator, start)
    trainer.mean.load_state_dict(trainer.generator.state_dict())
    critic = read_critic(start.path)
    if critic is not None:
        graft_critic(trainer.critic, critic, start)


@torch.no_grad()
def graft_generator(new: Generator, old: Generator, start: Start) -> None:
    """Take over the stages up to `start.grown`."""
    latent, size = new.architecture.latent, old.architecture.latent
    dense = old.dense.scaled()
    # the first map keeps its spread, though fewer numbers of the latent move it
    moved = _picked(dense, [i if i < size else None for i in range(latent)]) * math.sqrt(max(size / latent, 1.0))
    told = _picked(dense, [None if i is None else size + i for i in start.conditions])
    _set(new.dense, torch.cat([moved, told], dim=1), old.dense.bias)
    _copy(new.conv, old.conv)
    for mine, theirs in list(zip(new.blocks, old.blocks, strict=False))[: start.grown]:
        for part in ("grow", "refine"):
            _copy(getattr(mine, part), getattr(theirs, part))
    for mine, theirs in list(zip(new.heads, old.heads, strict=False))[: start.grown + 1]:
        _graft_head(cast(Conv, mine), cast(Conv, theirs), start)


@torch.no_grad()
def graft_critic(new: Critic, old: Critic, start: Start) -> None:
    """Take over the stages up to `start.grown`."""
    if (
        new.images is not None
        and old.images is not None
        and new.images.score.weight.shape == old.images.score.weight.shape
    ):
        graft_critic(new.images, old.images, replace(start, channels=start.channels[: start.modalities]))
    dense = old.dense.scaled()
    flat = dense.shape[1] - old.architecture.conditions
    told = _picked(dense, [None if i is None else flat + i for i in start.conditions])
    _set(new.dense, torch.cat([dense[:, :flat], told], dim=1), old.dense.bias)
    _copy(new.conv, old.conv)
    _copy(new.score, old.score)
    for mine, theirs in list(zip(new.blocks, old.blocks, strict=False))[: start.grown]:
        for part in ("refine", "shrink"):
            _copy(getattr(mine, part), getattr(theirs, part))
    for mine, theirs in list(zip(new.tails, old.tails, strict=False))[: start.grown + 1]:
        _graft_tail(cast(Conv, mine), cast(Conv, theirs), start)


def _graft_head(new: Conv, old: Conv, start: Start) -> None:
    """Rows of the channels that are known; a fresh modality is the mean of the known ones, a fresh label nowhere."""
    weight, bias = old.scaled(), old.bias
    known = [i for i in start.channels[: start.modalities] if i is not None]
    rows, offsets = [], []
    for channel, index in enumerate(start.channels):
        if index is not None:
            row, offset = weight[index], bias[index]
        elif channel < start.modalities and known:
            row, offset = weight[known].mean(0), bias[known].mean()
        else:
            row, offset = torch.zeros_like(weight[0]), torch.full_like(bias[0], _BACKGROUND)
        rows.append(row)
        offsets.append(offset)
    _set(new, torch.stack(rows), torch.stack(offsets))


def _graft_tail(new: Conv, old: Conv, start: Start) -> None:
    """Columns of the channels that are known; those that are gone count as background everywhere."""
    weight = old.scaled()
    gone = [i for i in range(weight.shape[1]) if i not in start.channels]
    away = weight[:, gone].flatten(1).sum(1) * _BACKGROUND
    _set(new, _picked(weight, start.channels), old.bias + away)


def _picked(weight: torch.Tensor, columns: Sequence[int | None]) -> torch.Tensor:
    """The columns of a weight (O, I, …) in that order; zeros where there is None."""
    padded = torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1)
    return padded[:, [weight.shape[1] if i is None else i for i in columns]]


def _copy(new: Conv | Dense, old: Conv | Dense) -> None:
    _set(new, old.scaled(), old.bias)


def _set(layer: Conv | Dense, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Make a layer work with that weight, whatever it is scaled by at run time."""
    layer.weight.copy_(weight / layer.scale)
    layer.bias.copy_(bias)
