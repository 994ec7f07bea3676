"""A new stage that starts by doing what the network did before it: function-preserving growth.

Drawn at random, a new block must be learnt from nothing while it fades in: pictures go dark and blurred, the critic's
features turn to noise, and both networks spend tens of thousands of images to come back to where they were. Here a new
stage hands on what the stage below has made (Chen et al. 2016, "Net2Net", arXiv:1511.05641). Leaky ReLU loses nothing
of a number that is there with both its signs: x = (leaky(x) − leaky(−x)) / 1.2. So a few maps of the block carry the
image in such pairs, and the others stay random.
"""

from __future__ import annotations

import math

import torch

from napari_pgan.model.layers import Conv, smoothed, up
from napari_pgan.model.networks import Critic, Generator
from napari_pgan.model.refit import feature_rows, fit_head

_MOST_ROWS = 75_000  # pixels that a head is fitted to
_OUTSIDE = -1.0  # what lies around an image
_PAIR = 1.2  # leaky(x) − leaky(−x) is 1.2 x


@torch.no_grad()
def grow_generator(
    generator: Generator, stage: int, latents: torch.Tensor, conditions: torch.Tensor | None = None, batch: int = 16
) -> None:
    """Make an untrained stage show what the stage below shows, in place.

    Its block carries the image below in pairs of maps, as far as it is wide enough, and smooths it on the way: doubled
    pixels that are handed on as they are stay on as blocks and stripes for the rest of a short training. Pixel norm
    scales these maps by what the others hold, so that the head is fitted, by least squares, to the doubled and
    smoothed image below.

    Parameters
    ----------
    generator
        Whose stages below are trained.
    stage
        The new one, 1 or above.
    latents, conditions
        (N, L) and, for a conditional generator, (N, conditions): what the head is fitted on.
    batch
        Latents at once.
    """
    grow, refine = _convs(generator.blocks[stage - 1], "grow", "refine")
    (old,) = _convs(generator.heads, str(stage - 1))
    every = old.scaled().flatten(1)  # (C, W)
    image = every / every.norm(dim=1, keepdim=True).clamp(min=1e-8)
    for maps, channels in generator.architecture.parts(stage):
        count = min(channels.stop - channels.start, (maps.stop - maps.start) // 2)
        rows = image[channels][:count]
        _set_centre(grow, _pairs(rows), maps.start)
        _set_centre(refine, _pairs(_unpaired(count, refine.weight.shape[1], image.device, maps.start)), maps.start)
        _smooth(refine, slice(maps.start, maps.start + 2 * count))
    xs, ys = [], []
    step = max(1, len(latents) * math.prod(generator.architecture.shape(stage)) // _MOST_ROWS)
    for start in range(0, len(latents), batch):
        part = slice(start, start + batch)
        told = None if conditions is None else conditions[part]
        *_, below, features = generator.features(generator.first_map(latents[part], told), stage)
        xs.append(feature_rows(features)[::step])
        ys.append(feature_rows(smoothed(up(old(below)) - _OUTSIDE) + _OUTSIDE)[::step])
    fit_head(generator, stage, torch.cat(xs), torch.cat(ys), ridge=1e-2)


@torch.no_grad()
def grow_critic(critic: Critic, stage: int) -> None:
    """Make an untrained stage score images as the stage below scores their halves, in place and exactly.

    Where its block is too narrow to carry all channels in pairs, it is left as it is.
    """
    if critic.images is not None:
        grow_critic(critic.images, stage)
    refine, shrink = _convs(critic.blocks[stage - 1], "refine", "shrink")
    old, tail = _convs(critic.tails, str(stage - 1), str(stage))
    channels, width = critic.architecture.channels, len(tail.weight)
    if width < 2 * channels:
        return
    device = tail.weight.device
    _set_centre(tail, _pairs(torch.eye(channels, device=device)))
    _set_centre(refine, _pairs(_unpaired(channels, width, device)))
    below = old.scaled().flatten(1)  # (W of the stage below, C)
    shrink.weight.zero_()
    _set_centre(shrink, below @ _unpaired(channels, width, device))
    shrink.bias.copy_(old.bias)


def _convs(parent: torch.nn.Module, *names: str) -> list[Conv]:
    found = [parent.get_submodule(name) for name in names]
    assert all(isinstance(layer, Conv) for layer in found)
    return found  # type: ignore[return-value]


def _pairs(rows: torch.Tensor) -> torch.Tensor:
    """Each row, and its negative below it."""
    return torch.stack([rows, -rows], dim=1).flatten(0, 1)


def _unpaired(channels: int, width: int, device: torch.device, first: int = 0) -> torch.Tensor:
    """(channels, width): what takes maps that come in pairs, from the `first` on, back to what they stand for."""
    matrix = torch.zeros(channels, width, device=device)
    for channel in range(channels):
        place = first + 2 * channel
        matrix[channel, place], matrix[channel, place + 1] = 1 / _PAIR, -1 / _PAIR
    return matrix


def _set_centre(layer: Conv, rows: torch.Tensor, first: int = 0) -> None:
    """Set maps of a layer, from the `first` on, to linear functions (maps, inputs) of the pixel, without a bias."""
    maps = slice(first, first + len(rows))
    layer.weight[maps] = 0
    every: tuple[slice | int, ...] = (maps, slice(None))
    layer.weight[every + tuple(side // 2 for side in layer.weight.shape[2:])] = rows / layer.scale
    layer.bias[maps] = 0


def _smooth(layer: Conv, maps: slice) -> None:
    """Spread the middle tap of some maps of a layer to 1, 2, 1 along every axis."""
    taps = torch.tensor([0.25, 0.5, 0.25], device=layer.weight.device)
    for axis in range(2, layer.weight.ndim):
        along = [-1 if a == axis else 1 for a in range(layer.weight.ndim)]
        layer.weight[maps] = layer.weight[maps].narrow(axis, 1, 1) * taps.reshape(along)
