"""Refinement of candidates by offsets of the generator's features, for shapes that no latent makes.

The latent enters this generator only at its smallest size, so a few hundred numbers decide all shapes. Offsets of the
first stages' features reach more shapes, but leave what the model has learnt; their strength limits how far. Bau et al.
2019 (arXiv:1811.10597) edit features in the same way, and Abdal et al. 2019 (arXiv:1904.03189) give each stage its own
code.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import torch
from scipy import ndimage

from napari_pgan.latent.steering.candidates import Best, Candidates
from napari_pgan.latent.steering.preserve import Preserve, total_loss
from napari_pgan.latent.steering.target import Target
from napari_pgan.latent.steering.target_mask import TargetMask
from napari_pgan.model import Model

LARGEST = 16  # largest side of features with offsets; later stages draw labels independently of the image
STRENGTH = 0.3
_RATE = 0.02
_BETAS = (0.9, 0.99)
_EVERY = 5  # steps between two evaluations at full precision
_MARGIN = 2  # pixels around the change


def refined_stages(model: Model) -> range:
    """Return the stages whose features get offsets."""
    shapes = [model.card.architecture.shape(stage) for stage in range(model.stages - 1)]
    return range(max(1, sum(max(shape) <= LARGEST for shape in shapes)))


def refine(
    model: Model,
    target: Target,
    candidates: Candidates,
    *,
    strength: float = STRENGTH,
    steps: int = 150,
    seconds: float | None = None,
    conditions: Mapping[str, str | float] | None = None,
    preserve: Preserve | None = None,
) -> Iterator[Candidates]:
    """Optimise feature offsets of candidates; yields the best so far.

    Parameters
    ----------
    model, target, conditions
        See `steer`.
    candidates
        Start of the refinement; existing offsets are continued, scaled down to `strength` where needed.
    strength
        Largest root mean square of an image's offsets at a stage, as a share of that of the stage's features: at 0.3
        features keep 96 % of their direction.
    steps
        Optimiser steps; the steps and seconds of the yielded candidates include those of the search before.
    seconds
        Time limit; no step begins after it.
    preserve
        Region to preserve; by default each candidate's own image outside its lesion and the target's, with a margin, so
        that nothing else is bent to fit the drawing.
    """
    began = time.monotonic()
    if preserve is None:
        preserve = _background(model, target, candidates, conditions)
    best = Best(target, preserve)
    z = torch.from_numpy(candidates.latents).to(model.device)
    loss = total_loss(model, target, preserve, model.stages - 1)
    limits = [strength * scale for scale in _feature_scales(model, z, conditions)]
    offsets = [part.clone().requires_grad_(True) for part in _initial_offsets(model, candidates)]
    optimizer = torch.optim.Adam(offsets, lr=_RATE, betas=_BETAS)

    def clip_offsets() -> None:
        with torch.no_grad():
            for part, limit in zip(offsets, limits, strict=True):
                part.mul_((limit / _rms(part).clamp(min=1e-12)).clamp(max=1))

    def evaluate(done: int) -> Candidates:
        with torch.inference_mode():
            x = model.generate(z, offsets=offsets, conditions=conditions)
        labels = model.encoding.decode(x).cpu().numpy()
        images = model.encoding.images(x).clamp(-1, 1).cpu().numpy()
        best.take(range(len(z)), candidates.latents, labels, images, [part.detach() for part in offsets])
        return best.candidates(len(z), candidates.steps + done, began - candidates.seconds)

    clip_offsets()
    yield evaluate(0)
    done = evaluated = 0
    while done < steps and (seconds is None or time.monotonic() - began < seconds):
        optimizer.zero_grad()
        loss(model.generate(z, offsets=offsets, conditions=conditions)).sum().backward()
        optimizer.step()
        clip_offsets()
        done += 1
        if done % _EVERY == 0:
            yield evaluate(done)
            evaluated = done
    if done > evaluated:
        yield evaluate(done)


def _background(
    model: Model, target: Target, candidates: Candidates, conditions: Mapping[str, str | float] | None
) -> Preserve | None:
    changing = candidates.labels > 0
    if isinstance(target, TargetMask):
        changing = changing | (target.labels > 0) | target.open
    near = ndimage.binary_dilation(changing, ndimage.generate_binary_structure(3, 1)[1:2], iterations=_MARGIN)
    if near.all():
        return None
    return Preserve.of(model, candidates.latents, ~near, conditions=conditions)


def _initial_offsets(model: Model, candidates: Candidates) -> list[torch.Tensor]:
    """Return the offsets from which the refinement starts."""
    if candidates.offsets:
        return [part.to(model.device) for part in candidates.offsets]
    a = model.card.architecture
    return [torch.zeros(len(candidates), a.widths[s], *a.shape(s), device=model.device) for s in refined_stages(model)]


def _feature_scales(model: Model, z: torch.Tensor, conditions: Mapping[str, str | float] | None) -> list[torch.Tensor]:
    """Return the root mean square of each image's features for each refined stage, (N, 1, 1, 1)."""
    stages = refined_stages(model)
    with torch.inference_mode():
        return [_rms(x) for x in model.features(z, stages[-1], conditions=conditions)]


def _rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
