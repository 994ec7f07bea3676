"""Refit the lower heads of a trained generator to its final images, and compute its mean feature map."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from napari_pgan.model.latents import latents_of_seeds
from napari_pgan.model.layers import Head, down
from napari_pgan.model.networks import Generator

MEAN_LATENTS = 10_000
_MAX_ROWS = 75_000  # pixels to which a head is fitted
_MAX_LABEL_ROWS = 30_000  # maximum of labelled and of background pixels for the fit of label channels
_ITERATIONS = 60
_STEEPNESS = 8.0  # a channel of ±1 means odds of e⁸, the highest confidence of a decoded label
_FIRST_SEED = 2**31  # above the seeds that users choose


@torch.no_grad()
def store_mean_map(generator: Generator, count: int = MEAN_LATENTS) -> None:
    """Set the generator's `mean_map`: the mean first feature map over `count` latents, for truncation.

    For a conditional generator it is computed at conditions of 0; `Model` computes it for the requested condition.
    """
    generator.mean_map.copy_(mean_map(generator, None, count))


@torch.no_grad()
def mean_map(generator: Generator, condition: torch.Tensor | None, count: int = MEAN_LATENTS) -> torch.Tensor:
    """Return the mean first feature map (W₀, *base) over `count` latents at one condition (conditions,)."""
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
def refit_lower_heads(
    generator: Generator, count: int = 256, batch: int = 16, ridge: float = 1e-4, label_channels: int = 0
) -> None:
    """Refit the heads below the last stage, in place.

    After its fade-in a head gets no gradient while the blocks below it keep changing, so its image becomes outdated.
    Here each head is fitted, over `count` latents, to box averages of the final image, clamped to [-1, 1]. Modalities
    use least squares; one-hot label channels use multinomial logistic regression to the averaged labels, because most
    pixels are background and least squares would put small lesions below the threshold.

    Parameters
    ----------
    generator
        A fully grown generator; its last head does not change.
    count, batch
        Number of latents, and latents per batch.
    ridge
        Added to the diagonal of the normal equations, relative to its mean; keeps them solvable with dead features.
    label_channels
        Number of one-hot label channels, which are the last channels.
    """
    last = generator.architecture.stages - 1
    rows: list[list[tuple[torch.Tensor, torch.Tensor]]] = [[] for _ in range(last)]
    for features, image in _final_images(generator, count, batch):
        target = image
        for stage in range(last - 1, -1, -1):
            target = down(target)
            step = max(1, count * target[0, 0].numel() // _MAX_ROWS)  # an evenly spaced subset of the pixels is enough
            rows[stage].append((feature_rows(features[stage])[::step], feature_rows(target)[::step]))
    for stage in range(last):
        x, y = (torch.cat(parts) for parts in zip(*rows[stage], strict=True))
        fit_head(generator, stage, x, y, ridge, label_channels)


@torch.no_grad()
def fit_head(
    generator: Generator, stage: int, x: torch.Tensor, y: torch.Tensor, ridge: float, label_channels: int = 0
) -> None:
    """Fit a head, in place, to map features x (rows, W) to channels y (rows, C).

    Uses least squares, and logistic regression for the last `label_channels`.
    """
    head = generator.heads[stage]
    assert isinstance(head, Head)
    every = torch.cat([x, torch.ones(len(x), 1)], dim=1)  # (rows, W + 1)
    solution = torch.zeros(every.shape[1], y.shape[1])
    for maps, channels in head.parts:
        rows = [*range(maps.start, maps.stop), x.shape[1]]
        solution[rows, channels] = _least_squares(every[:, rows], y[:, channels], ridge)
    if label_channels:
        maps, _ = head.parts[-1]
        rows = [*range(maps.start, maps.stop), x.shape[1]]
        labels = slice(y.shape[1] - label_channels, y.shape[1])
        solution[rows, labels] = _logistic(every[:, rows], y[:, labels], solution[rows, labels])
    head.weight.copy_(solution[:-1].T.reshape(head.weight.shape) / head.scale)
    head.bias.copy_(solution[-1])


def _least_squares(x: torch.Tensor, y: torch.Tensor, ridge: float) -> torch.Tensor:
    """Return the weights (W, C) that map x (rows, W) to y (rows, C)."""
    gram, moment = (x.T @ x).double(), (x.T @ y).double()
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    return torch.linalg.solve(gram, moment).float()


def _logistic(x: torch.Tensor, y: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Regress the decoded label of channels y (rows, K) on features x (rows, W): weights (W, K), background at 0.

    Nearly all rows are similar background, so an evenly spaced subset represents them, weighted accordingly.
    """
    best, index = y.max(dim=1)
    label = torch.where(best > 0, index + 1, 0)
    chosen, shares = [], []
    for rows in ((label > 0).nonzero()[:, 0], (label == 0).nonzero()[:, 0]):
        step = max(1, len(rows) // _MAX_LABEL_ROWS)
        chosen.append(rows[::step])
        shares.append(torch.full((len(chosen[-1]),), step / len(label)))
    x, label, share = x[torch.cat(chosen)], label[torch.cat(chosen)], torch.cat(shares)
    weights = start.contiguous().clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([weights], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")
    background = torch.zeros(len(x), 1)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            odds = torch.cat([background, _STEEPNESS * (x @ weights)], dim=1)
            value = share @ F.cross_entropy(odds, label, reduction="none")
            value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    fitted = weights.detach()
    return fitted if torch.isfinite(fitted).all() else start


def _final_images(generator: Generator, count: int, batch: int) -> Iterator[tuple[list[torch.Tensor], torch.Tensor]]:
    """Yield the features of all stages and the final clamped image of `count` latents."""
    a = generator.architecture
    random = torch.Generator().manual_seed(0)
    for latents in _batches(generator, count, batch):
        conditions = None
        if a.conditions:  # cover their range, so that the fit is valid for all conditions
            conditions = (torch.rand(len(latents), a.conditions, generator=random) * 2 - 1).to(latents)
        features = generator.features(generator.first_map(latents, conditions), a.stages - 1)
        yield features, generator.heads[-1](features[-1]).clamp(-1, 1)


def feature_rows(x: torch.Tensor) -> torch.Tensor:
    """Reshape (N, C, …) to (pixels, C) float32 on the CPU."""
    return x.movedim(1, -1).reshape(-1, x.shape[1]).float().cpu()


def _batches(generator: Generator, count: int, batch: int) -> Iterator[torch.Tensor]:
    device, size = generator.dense.weight.device, generator.architecture.latent
    for start in range(0, count, batch):
        seeds = range(_FIRST_SEED + start, _FIRST_SEED + min(start + batch, count))
        yield torch.from_numpy(latents_of_seeds(seeds, size)).to(device)
