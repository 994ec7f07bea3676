"""Fréchet and kernel distance between two sets of features, by torchmetrics.

Fréchet distance: between the normal distributions fitted to both (Heusel et al. 2017, arXiv:1706.08500). Kernel
distance: the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al. 2018, arXiv:1801.01401). The first
falls with the number of images even between equal distributions, so compare it at equal counts alone; the second does
not, and may be a little below 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_pgan.errors import InputError

_LARGEST_SUBSET = 1000
_SUBSETS = 10


class _AsTheyAre(nn.Module):
    """Stands where torchmetrics has a network: its input are features already."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance (squared, as is the custom) of features (N, D) and (N′, D), in float64.

    Raises
    ------
    InputError
        A set has fewer than two images, they have not the same features, or these are not finite.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    _refuse(a, b)
    centre = a.mean(axis=0, dtype=np.float64)  # torchmetrics sums squares, which loses digits far from 0
    metric = FrechetInceptionDistance(_AsTheyAre(a.shape[1])).set_dtype(torch.float64)
    metric.update(torch.from_numpy(a - centre), real=True)
    metric.update(torch.from_numpy(b - centre), real=False)
    return max(float(metric.compute()), 0.0)


def kernel_distance(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """The kernel distance × 10³ of features (N, D) and (N′, D).

    The mean over subsets of 1,000 images, as is the custom; of all images at once where there are no more.

    Raises
    ------
    InputError
        A set has fewer than two images, they have not the same features, or these are not finite.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    _refuse(a, b)
    least = min(len(a), len(b))
    subset = min(least, _LARGEST_SUBSET)
    subsets = 1 if subset == max(len(a), len(b)) else _SUBSETS
    metric = _quietly(lambda: KernelInceptionDistance(_AsTheyAre(a.shape[1]), subsets=subsets, subset_size=subset))
    metric.update(torch.from_numpy(a.astype(np.float64)), real=True)
    metric.update(torch.from_numpy(b.astype(np.float64)), real=False)
    with torch.random.fork_rng(devices=[]):  # it draws its subsets from the global generator
        torch.manual_seed(seed)
        return 1000 * float(metric.compute()[0])


def _quietly(make: Callable[[], Any]) -> Any:
    """It warns of every use that features are kept, which here they are anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return make()


def _refuse(a: np.ndarray, b: np.ndarray) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InputError(f"features of shape {a.shape} and {b.shape} cannot be compared; give (N, D) of one encoder")
    if min(len(a), len(b)) < 2:
        raise InputError(f"{min(len(a), len(b))} image is too few for a Fréchet or kernel distance; give two at least")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("features hold NaN or Inf; leave those images out")
