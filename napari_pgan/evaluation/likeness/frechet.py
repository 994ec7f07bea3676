"""Fréchet and kernel distance between two sets of features, by torchmetrics.

The Fréchet distance compares normal distributions fitted to both sets (Heusel et al. 2017, arXiv:1706.08500). The
kernel distance is the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al. 2018, arXiv:1801.01401).
The former falls with the number of images even for equal distributions, so compare it only at equal numbers; the latter
does not, and can be slightly negative.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.features import check_features

_LARGEST_SUBSET = 1000
_SUBSETS = 10


class _Identity(nn.Identity):
    """Replaces the network of torchmetrics, since its input already consists of features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the (squared, as usual) Fréchet distance of features (N, D) and (N′, D), computed in float64.

    Raises
    ------
    InputError
        A set has fewer than two images, the sets differ in features, or features are not finite.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    _check(a, b)
    centre = a.mean(axis=0, dtype=np.float64)  # torchmetrics sums squares, which loses precision far from 0
    metric = FrechetInceptionDistance(_Identity(a.shape[1])).set_dtype(torch.float64)
    metric.update(torch.from_numpy(a - centre), real=True)
    metric.update(torch.from_numpy(b - centre), real=False)
    return max(float(metric.compute()), 0.0)


def kernel_distance(a: np.ndarray, b: np.ndarray, seed: int = 0) -> float:
    """Return the kernel distance × 10³ of features (N, D) and (N′, D).

    It is the mean over subsets of 1,000 images, as usual, or of all images if there are no more.

    Raises
    ------
    InputError
        A set has fewer than two images, the sets differ in features, or features are not finite.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    _check(a, b)
    least = min(len(a), len(b))
    subset = min(least, _LARGEST_SUBSET)
    subsets = 1 if subset == max(len(a), len(b)) else _SUBSETS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns at every use that it keeps features in memory
        metric = KernelInceptionDistance(_Identity(a.shape[1]), subsets=subsets, subset_size=subset)
    metric.update(torch.from_numpy(a.astype(np.float64)), real=True)
    metric.update(torch.from_numpy(b.astype(np.float64)), real=False)
    with torch.random.fork_rng(devices=[]):  # it draws subsets with the global generator
        torch.manual_seed(seed)
        return 1000 * float(metric.compute()[0])


def _check(a: np.ndarray, b: np.ndarray) -> None:
    check_features(a, b)
    if min(len(a), len(b)) < 2:
        raise InputError(f"{min(len(a), len(b))} image is too few for a Fréchet or kernel distance; pass at least two")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("features contain NaN or Inf; leave those images out")
