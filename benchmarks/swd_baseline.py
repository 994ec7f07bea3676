"""The sliced Wasserstein distance between real images of some subjects and real images of others."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.swd import sliced_wasserstein


def swd_baseline(
    images: np.ndarray,
    subjects: np.ndarray,
    *,
    halvings: int = 5,
    count: int | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Return the distance between random halves of the subjects, which a perfect model would reach.

    Parameters
    ----------
    images
        (N, C, Y, X).
    subjects
        (N,), the subject of each image; all images of a subject fall into the same half.
    halvings
        Number of random splits into halves.
    count
        Maximum number of images per half. The distance falls with the number of images, so compare a model only with a
        baseline at the same number.
    seed, options
        As in `sliced_wasserstein`.

    Returns
    -------
    dict
        ``mean`` over the halvings, ``low`` and ``high`` (their 5th and 95th percentile), ``levels`` (level → mean),
        ``halvings`` and ``images`` (number of images of the smaller half, averaged).

    Raises
    ------
    InputError
        There are fewer than two subjects.
    """
    names = np.unique(subjects)
    if len(names) < 2:
        raise InputError(f"cannot split {len(names)} subject into halves; the baseline needs at least two subjects")
    rng = np.random.default_rng(seed)
    results, sizes = [], []
    for halving in range(halvings):
        first = np.isin(subjects, rng.permutation(names)[: len(names) // 2])
        halves = [rng.permutation(np.flatnonzero(chosen))[:count] for chosen in (first, ~first)]
        sizes.append(min(len(half) for half in halves))
        a, b = (images[np.sort(half)] for half in halves)
        results.append(sliced_wasserstein(a, b, seed=seed + halving, **options))
    means = [one["mean"] for one in results]
    return {
        "mean": float(np.mean(means)),
        "low": float(np.percentile(means, 5)),
        "high": float(np.percentile(means, 95)),
        "levels": {level: float(np.mean([one[level] for one in results])) for level in results[0] if level != "mean"},
        "halvings": halvings,
        "images": float(np.mean(sizes)),
    }
