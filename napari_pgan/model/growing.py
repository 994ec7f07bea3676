"""Function-preserving growth: a new stage initially reproduces the output of the network without it.

A randomly initialised block must be learnt from scratch while it fades in: images become dark and blurred, the critic's
features become noise, and both networks need tens of thousands of images to recover. Here a new stage passes on the
output of the stage below (Chen et al. 2016, "Net2Net", arXiv:1511.05641). A leaky ReLU preserves a value that it gets
with both signs: x = (leaky(x) − leaky(−x)) / 1.2. A few maps of the block therefore carry the image in such pairs; the
others remain random.
"""

from __future__ import annotations

import math

import torch

from napari_pgan.model.layers import Conv, smoothed, up
from napari_pgan.model.networks import Critic, Generator
from napari_pgan.model.refit import feature_rows, fit_head

_MAX_ROWS = 75_000  # pixels to which a head is fitted
_OUTSIDE = -1.0  # value around an image
_PAIR = 1.2  # leaky(x) − leaky(−x) = 1.2 x


@torch.no_grad()
def grow_generator(
    generator: Generator, stage: int, latents: torch.Tensor, conditions: torch.Tensor | None = None, batch: int = 16
) -> None:
    """Make an untrained stage reproduce the images of the stage below, in place.

    The block carries the image of the stage below in pairs of maps, as far as its width allows, and smooths it: without
    smoothing, doubled pixels remain visible as blocks and stripes during a short training. Pixel norm scales
    these maps by the values of the others, so the head is fitted by least squares to the doubled and smoothed image.

    Parameters
    ----------
    generator
        A generator with trained lower stages.
    stage
        The new stage, 1 or above.
    latents, conditions
        (N, L) and, for a conditional generator, (N, conditions): inputs on which the head is fitted.
    batch
        Latents per batch.
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
    step = max(1, len(latents) * math.prod(generator.architecture.shape(stage)) // _MAX_ROWS)
    for start in range(0, len(latents), batch):
        part = slice(start, start + batch)
        given = None if conditions is None else conditions[part]
        *_, below, features = generator.features(generator.first_map(latents[part], given), stage)
        xs.append(feature_rows(features)[::step])
        ys.append(feature_rows(smoothed(up(old(below)) - _OUTSIDE) + _OUTSIDE)[::step])
    fit_head(generator, stage, torch.cat(xs), torch.cat(ys), ridge=1e-2)


@torch.no_grad()
def grow_critic(critic: Critic, stage: int) -> None:
    """Make an untrained stage score images exactly as the stage below scores them at half size, in place.

    A block too narrow to carry all channels in pairs is not changed.
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
    """Return each row followed by its negative."""
    return torch.stack([rows, -rows], dim=1).flatten(0, 1)


def _unpaired(channels: int, width: int, device: torch.device, first: int = 0) -> torch.Tensor:
    """Return the matrix (channels, width) that recovers channels from pairs of maps, starting at map `first`."""
    matrix = torch.zeros(channels, width, device=device)
    for channel in range(channels):
        column = first + 2 * channel
        matrix[channel, column], matrix[channel, column + 1] = 1 / _PAIR, -1 / _PAIR
    return matrix


def _set_centre(layer: Conv, rows: torch.Tensor, first: int = 0) -> None:
    """Set maps of a layer, starting at `first`, to linear functions (maps, inputs) of the pixel, without a bias."""
    maps = slice(first, first + len(rows))
    layer.weight[maps] = 0
    every: tuple[slice | int, ...] = (maps, slice(None))
    layer.weight[every + tuple(side // 2 for side in layer.weight.shape[2:])] = rows / layer.scale
    layer.bias[maps] = 0


def _smooth(layer: Conv, maps: slice) -> None:
    """Spread the centre tap of some maps of a layer to the weights 1, 2, 1 along every axis."""
    taps = torch.tensor([0.25, 0.5, 0.25], device=layer.weight.device)
    for axis in range(2, layer.weight.ndim):
        along = [-1 if a == axis else 1 for a in range(layer.weight.ndim)]
        layer.weight[maps] = layer.weight[maps].narrow(axis, 1, 1) * taps.reshape(along)
