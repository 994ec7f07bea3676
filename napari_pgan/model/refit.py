"""Make the lower stages of a finished generator show what it really draws."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from napari_pgan.model.latents import latents_of_seeds
from napari_pgan.model.layers import Conv, down
from napari_pgan.model.networks import Generator

MEAN_LATENTS = 10_000
_FIRST_SEED = 2**31  # far from the seeds that people type


@torch.no_grad()
def store_mean_map(generator: Generator, count: int = MEAN_LATENTS) -> None:
    """Set the generator's `mean_map`: the mean first feature map over `count` latents, for truncation.

    For a conditional generator it is taken at conditions of 0; `Model` computes it for the condition asked for.
    """
    generator.mean_map.copy_(mean_map(generator, None, count))


@torch.no_grad()
def mean_map(generator: Generator, condition: torch.Tensor | None, count: int = MEAN_LATENTS) -> torch.Tensor:
    """The mean first feature map (W₀, *base) over `count` latents at one condition (conditions,)."""
    a = generator.architecture
    total = torch.zeros_like(generator.mean_map, dtype=torch.float64)
    for latents in _batches(generator, count, 1000):
        conditions = None
        if a.conditions:
            row = torch.zeros(a.conditions) if condition is None else condition
            conditions = row.to(latents).expand(len(latents), -1)
        total += generator.first_map(latents, conditions).double().sum(0)
    return (total / count).float()


@torch.no_grad()
def refit_lower_heads(generator: Generator, count: int = 256, batch: int = 16, ridge: float = 1e-4) -> None:
    """Refit the heads below the last stage, in place.

    After its fade-in a head gets no gradient while the blocks below it move on, so its image goes stale. Here each is
    fitted by least squares to the box averages of the final image, clamped to [-1, 1], over `count` latents.

    Parameters
    ----------
    generator
        Fully grown. The last head is left alone.
    count, batch
        Latents in all and at once.
    ridge
        Added to the normal equations' diagonal, relative to its mean, so that dead features do no harm.
    """
    a = generator.architecture
    last = a.stages - 1
    gram = [torch.zeros(w + 1, w + 1, dtype=torch.float64) for w in a.widths[:last]]
    moment = [torch.zeros(w + 1, a.channels, dtype=torch.float64) for w in a.widths[:last]]
    random = torch.Generator().manual_seed(0)
    for latents in _batches(generator, count, batch):
        conditions = None
        if a.conditions:  # spread over their range, so that the fit holds for all of it
            conditions = (torch.rand(len(latents), a.conditions, generator=random) * 2 - 1).to(latents)
        features = generator.features(generator.first_map(latents, conditions), last)
        target = generator.heads[last](features[-1]).clamp(-1, 1)
        for stage in range(last - 1, -1, -1):
            target = down(target)
            x = _rows(features[stage])
            x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
            gram[stage] += (x.T @ x).double()
            moment[stage] += (x.T @ _rows(target)).double()
    for stage in range(last):
        diagonal = ridge * gram[stage].diagonal().mean() * torch.eye(len(gram[stage]), dtype=torch.float64)
        solution = torch.linalg.solve(gram[stage] + diagonal, moment[stage])  # (W + 1, C)
        head = generator.heads[stage]
        assert isinstance(head, Conv)
        weight = solution[:-1].T.reshape(head.weight.shape) / head.scale
        head.weight.copy_(weight)
        head.bias.copy_(solution[-1])


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1).reshape(-1, x.shape[1]).float().cpu()


def _batches(generator: Generator, count: int, batch: int) -> Iterator[torch.Tensor]:
    device, size = generator.dense.weight.device, generator.architecture.latent
    for start in range(0, count, batch):
        seeds = range(_FIRST_SEED + start, _FIRST_SEED + min(start + batch, count))
        yield torch.from_numpy(latents_of_seeds(seeds, size)).to(device)
