"""What an encoder learns to tell apart without anybody's labels: two views of one image from views of others.

After Chen et al. 2020, SimCLR (arXiv:2002.05709), with views made for medical images: moved, zoomed, turned a little
and changed in gain, never blurred and never made noisier, since the features are there to see blur and noise.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional as F

_TURN = math.radians(10)
_ZOOM = (0.8, 1.1)
_MOVE = 0.12  # of the whole side
_GAIN = 0.2
_NEAR = 0.1  # of a subject's slices


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


def near(subject: np.ndarray) -> np.ndarray:
    """Where each image stands, (N,) float64, so that those of one subject less than 1 apart lie near each other.

    A subject's images are taken to be in the order of its slices; a tenth of them is near. Subjects are far apart.
    """
    place = np.empty(len(subject))
    for i, name in enumerate(np.unique(subject)):
        its = np.flatnonzero(subject == name)
        place[its] = 1e6 * i + np.arange(len(its)) / max(1.0, _NEAR * len(its))
    return place


def nt_xent(first: torch.Tensor, second: torch.Tensor, place: torch.Tensor, temperature: float = 0.2) -> torch.Tensor:
    """The normalised, temperature-scaled cross entropy of two views (N, D) each.

    Images that lie near each other (`near`) are not held against each other.
    """
    both = F.normalize(torch.cat([first, second]).float(), dim=1)
    logits = both @ both.T / temperature
    n, where = len(first), torch.cat([place, place])
    partner = torch.arange(2 * n).roll(n)
    close = (where[:, None] - where[None, :]).abs() < 1
    close[torch.arange(2 * n), partner] = False
    return F.cross_entropy(logits.masked_fill(close, -torch.inf), partner)


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
