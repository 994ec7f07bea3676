"""Views, batches and losses of self-supervised training: recognise a slice among other slices of the subject.

After Chen et al. 2020, SimCLR (arXiv:2002.05709), with two changes. Views are shifted, zoomed, rotated and changed in
gain, but never blurred or made noisier, since features should detect blur and noise. And negatives are slices of the
same subject only: otherwise features mainly identify the subject, and any two halves of a cohort are far apart.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

_ROTATION = math.radians(10)
_ZOOM = (0.8, 1.1)
_SHIFT = 0.12  # of the side
_GAIN = 0.4  # about the variation between scanners
_NEAR = 0.1  # of the subject's slices
_PER_SUBJECT = 16  # images in a batch


def views(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift, zoom and rotate each image (N, M, Y, X) and change the gain of its modalities, all at random.

    Cubic interpolation blurs less than linear. The gain scales the difference from the background, -1.
    """
    n, channels = images.shape[:2]

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.empty(n, *shape).uniform_(low, high, generator=generator)

    angle, zoom = uniform(-_ROTATION, _ROTATION), uniform(*_ZOOM)
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    shift = uniform(-2 * _SHIFT, 2 * _SHIFT, 2)
    theta = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images + 1, grid, mode="bicubic", padding_mode="zeros", align_corners=False)
    return moved * uniform(1 - _GAIN, 1 + _GAIN, channels, 1, 1) - 1


def sample_batch(subject: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    """Draw the rows of a batch: random slices of a few random subjects."""
    chosen: list[np.ndarray] = []
    names = np.unique(subject)
    for i in torch.randperm(len(names), generator=generator).tolist():
        rows = np.flatnonzero(subject == names[i])
        chosen.append(rows[torch.randperm(len(rows), generator=generator).numpy()[:_PER_SUBJECT]])
        if sum(map(len, chosen)) >= count:
            break
    return np.concatenate(chosen)[:count]


def slice_positions(subject: np.ndarray) -> np.ndarray:
    """Return the position of each image within its subject, (N,) float64, such that neighbours differ by less than 1.

    Images of a subject must be in the order of its slices; a tenth of them are neighbours.
    """
    position = np.empty(len(subject))
    for name in np.unique(subject):
        rows = np.flatnonzero(subject == name)
        position[rows] = np.arange(len(rows)) / max(1.0, _NEAR * len(rows))
    return position


def nt_xent(
    first: torch.Tensor,
    second: torch.Tensor,
    subject: torch.Tensor,
    position: torch.Tensor,
    temperature: float = 0.2,
) -> torch.Tensor:
    """Return the normalised, temperature-scaled cross entropy of two views, (N, D) each.

    Negatives of an image are those of the same `subject` (N,) that are not its neighbours by `position` (N,).
    """
    both = F.normalize(torch.cat([first, second]).float(), dim=1)
    logits = both @ both.T / temperature
    n, subject, position = len(first), torch.cat([subject, subject]), torch.cat([position, position])
    partner = torch.arange(2 * n).roll(n)
    excluded = ((position[:, None] - position[None, :]).abs() < 1) | (subject[:, None] != subject[None, :])
    excluded[torch.arange(2 * n), partner] = False
    return F.cross_entropy(logits.masked_fill(excluded, -torch.inf), partner)


def decorrelation_loss(features: torch.Tensor) -> torch.Tensor:
    """Return the variance and covariance terms of VICReg for features (N, D); 0 if they vary independently.

    After Bardes et al. 2021 (arXiv:2105.04906). Without them a few dimensions dominate the distances.
    """
    centred = features - features.mean(dim=0)
    deviation = (centred.square().mean(dim=0) + 1e-4).sqrt()
    correlation = (centred / deviation).T @ (centred / deviation) / len(features)
    others = correlation.square().sum() - correlation.diagonal().square().sum()
    return F.relu(1 - deviation).mean() + others / features.shape[1]
