"""Latents of seeds, bit-identical on every machine and in every version."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_pgan.errors import InputError

_GRAIN = 2.0**-16


def latents_of_seeds(seeds: Iterable[int], size: int) -> np.ndarray:
    """Normal latents, one a seed.

    The numbers come from NumPy's legacy Mersenne twister, whose stream is frozen (NEP 19), and are rounded to multiples
    of 2⁻¹⁶, so that a last bit in which two machines' logarithms differ does not show: they are bit-identical on every
    machine and version.

    Parameters
    ----------
    seeds
        From 0 to 2³² − 1.
    size
        Numbers a latent.

    Returns
    -------
    numpy.ndarray
        (N, size) float32.

    Raises
    ------
    InputError
        A seed is out of range.
    """
    rows = []
    stream = np.random.RandomState()  # seeded anew for every row: ten times as quick as a new one
    for seed in seeds:
        if not 0 <= int(seed) < 2**32:
            raise InputError(f"seed {seed} is out of range; seeds go from 0 to {2**32 - 1}")
        stream.seed(int(seed))
        draws = stream.standard_normal(size)
        rows.append(np.round(draws / _GRAIN) * _GRAIN)
    return np.asarray(rows, np.float32).reshape(-1, size)
