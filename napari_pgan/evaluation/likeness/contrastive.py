"""What an encoder learns to tell apart without anybody's labels: two views of a slice from other slices of the subject.

After Chen et al. 2020, SimCLR (arXiv:2002.05709), with two changes. The views are made for medical images: moved,
zoomed, turned a little and changed in gain, but never blurred and never made noisier, since the features are there to
see blur and noise. And a slice is held against others of the same subject alone: held against other subjects too,
features come to say first of all whose scan it is, and any two halves of a cohort lie far apart.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

_TURN = math.radians(10)
_ZOOM = (0.8, 1.1)
_MOVE = 0.12  # of the whole side
_GAIN = 0.4  # as much as scanners differ: features shall say more than whose image it is
_NEAR = 0.1  # of a subject's slices
_OF_A_SUBJECT = 16  # in a batch


def views(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image (N, M, Y, X) moved, zoomed, turned, its modalities changed in gain, all at random.

    Pixels are interpolated by cubics, which blur less than lines do. Gain acts on the distance from the background, -1.
    """
    n, channels = images.shape[:2]

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.empty(n, *shape).uniform_(low, high, generator=generator)

    angle, zoom = uniform(-_TURN, _TURN), uniform(*_ZOOM)
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    move = uniform(-2 * _MOVE, 2 * _MOVE, 2)
    theta = torch.stack([torch.stack([cos, -sin, move[:, 0]], 1), torch.stack([sin, cos, move[:, 1]], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    seen = F.grid_sample(images + 1, grid, mode="bicubic", padding_mode="zeros", align_corners=False)
    return seen * uniform(1 - _GAIN, 1 + _GAIN, channels, 1, 1) - 1


def pick(subject: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    """Rows of a batch: some slices of each of a few subjects, all at random."""
    chosen: list[np.ndarray] = []
    names = np.unique(subject)
    for i in torch.randperm(len(names), generator=generator).tolist():
        its = np.flatnonzero(subject == names[i])
        chosen.append(its[torch.randperm(len(its), generator=generator).numpy()[:_OF_A_SUBJECT]])
        if sum(map(len, chosen)) >= count:
            break
    return np.concatenate(chosen)[:count]


def places(subject: np.ndarray) -> np.ndarray:
    """Where each image lies in its subject, (N,) float64: two that are less than 1 apart lie near each other.

    A subject's images are taken to be in the order of its slices, and a tenth of them is near.
    """
    place = np.empty(len(subject))
    for name in np.unique(subject):
        its = np.flatnonzero(subject == name)
        place[its] = np.arange(len(its)) / max(1.0, _NEAR * len(its))
    return place


def nt_xent(
    first: torch.Tensor,
    second: torch.Tensor,
    subject: torch.Tensor,
    place: torch.Tensor,
    temperature: float = 0.2,
) -> torch.Tensor:
    """The normalised, temperature-scaled cross entropy of two views, (N, D) each.

    An image is held against those of its own `subject` (N,) that do not lie near it by their `place` (N,).
    """
    both = F.normalize(torch.cat([first, second]).float(), dim=1)
    logits = both @ both.T / temperature
    n, whose, where = len(first), torch.cat([subject, subject]), torch.cat([place, place])
    partner = torch.arange(2 * n).roll(n)
    left_out = ((where[:, None] - where[None, :]).abs() < 1) | (whose[:, None] != whose[None, :])
    left_out[torch.arange(2 * n), partner] = False
    return F.cross_entropy(logits.masked_fill(left_out, -torch.inf), partner)


def spread(features: torch.Tensor) -> torch.Tensor:
    """How far features (N, D) are from each varying, and varying by itself: 0 when they do.

    The variance and covariance terms of Bardes et al. 2021, VICReg (arXiv:2105.04906): without them a few dimensions
    come to say everything, and distances between features no more than those few.
    """
    centred = features - features.mean(dim=0)
    deviation = (centred.square().mean(dim=0) + 1e-4).sqrt()
    correlation = (centred / deviation).T @ (centred / deviation) / len(features)
    others = correlation.square().sum() - correlation.diagonal().square().sum()
    return F.relu(1 - deviation).mean() + others / features.shape[1]
