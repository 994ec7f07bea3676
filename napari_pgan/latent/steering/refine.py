"""Beyond latents: what the generator's first stages hand on is moved, too, for shapes that no latent makes.

A latent enters this kind of generator once, at its smallest size, so that few hundred numbers decide all shapes.
Offsets of the features of the first stages (as in Bau et al. 2019, arXiv:1811.10597, who edit features, and Abdal et
al. 2019, arXiv:1904.03189, who let each stage have its own code) reach more, and leave what the model has learnt: how
far is said by their strength.
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

LARGEST = 16  # pixels of the largest features that move: those of later stages draw labels apart from the image
STRENGTH = 0.3
_RATE = 0.02
_BETAS = (0.9, 0.99)
_LOOK = 5  # steps from look to look
_MARGIN = 2  # pixels around what changes


def refined_stages(model: Model) -> range:
    """The stages whose features move."""
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
    """Go on from what was candidates with offsets of features, and tell the best so far.

    Parameters
    ----------
    model, target, conditions
        As in `steer`.
    preserve
        What shall stay; by default each candidate's own image, but for the lesion that it has and that is asked for
        with a margin around them, so that nothing else is bent to fit the drawing.
    candidates
        Candidates; offsets that they have are the start, made as small as `strength` says.
    strength
        The largest offset that an image may have at a stage, in root mean square, as a share of that of the stage's
        features: at 0.3, features preserve 96 % of their direction.
    steps
        Of the optimiser; what is told counts those of the search before, too, and its seconds.
    seconds
        After which no step begins.
    """
    began = time.monotonic()
    if preserve is None:
        preserve = _elsewhere(model, target, candidates, conditions)
    best = Best(target, preserve)
    z = torch.from_numpy(candidates.latents).to(model.device)
    loss = total_loss(model, target, preserve, model.stages - 1)
    limits = [strength * scale for scale in _feature_scales(model, z, conditions)]
    offsets = [part.clone().requires_grad_(True) for part in _begin(model, candidates)]
    optimizer = torch.optim.Adam(offsets, lr=_RATE, betas=_BETAS)

    def bound() -> None:
        with torch.no_grad():
            for part, limit in zip(offsets, limits, strict=True):
                part.mul_((limit / _rms(part).clamp(min=1e-12)).clamp(max=1))

    def look(done: int) -> Candidates:
        with torch.inference_mode():
            x = model.generate(z, offsets=offsets, conditions=conditions)
        labels = model.encoding.decode(x).cpu().numpy()
        images = model.encoding.images(x).clamp(-1, 1).cpu().numpy()
        best.take(range(len(z)), candidates.latents, labels, images, [part.detach() for part in offsets])
        return best.candidates(len(z), candidates.steps + done, began - candidates.seconds)

    bound()
    yield look(0)
    done = told = 0
    while done < steps and (seconds is None or time.monotonic() - began < seconds):
        optimizer.zero_grad()
        loss(model.generate(z, offsets=offsets, conditions=conditions)).sum().backward()
        optimizer.step()
        bound()
        done += 1
        if done % _LOOK == 0:
            yield look(done)
            told = done
    if done > told:
        yield look(done)


def _elsewhere(
    model: Model, target: Target, candidates: Candidates, conditions: Mapping[str, str | float] | None
) -> Preserve | None:
    changing = candidates.labels > 0
    if isinstance(target, TargetMask):
        changing = changing | (target.labels > 0) | target.open
    near = ndimage.binary_dilation(changing, ndimage.generate_binary_structure(3, 1)[1:2], iterations=_MARGIN)
    if near.all():
        return None
    return Preserve.of(model, candidates.latents, ~near, conditions=conditions)


def _begin(model: Model, candidates: Candidates) -> list[torch.Tensor]:
    """Offsets to go on from."""
    if candidates.offsets:
        return [part.to(model.device) for part in candidates.offsets]
    a = model.card.architecture
    return [torch.zeros(len(candidates), a.widths[s], *a.shape(s), device=model.device) for s in refined_stages(model)]


def _feature_scales(model: Model, z: torch.Tensor, conditions: Mapping[str, str | float] | None) -> list[torch.Tensor]:
    """Root mean squares of the features of each image, for each stage that moves: (N, 1, 1, 1)."""
    stages = refined_stages(model)
    with torch.inference_mode():
        return [_rms(x) for x in model.features(z, stages[-1], conditions=conditions)]


def _rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
