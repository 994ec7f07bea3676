"""Latents of seeds, bit-identical on every machine and in every version."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_pgan.errors import InputError

_GRAIN = 2.0**-16


def latents_of_seeds(seeds: Iterable[int], size: int) -> np.ndarray:
    """Return normally distributed latents, one per seed.

    The numbers come from NumPy's legacy Mersenne twister, whose stream is frozen (NEP 19). They are rounded to
    multiples of 2⁻¹⁶, since the last bit of a logarithm differs between machines. The result is bit-identical on every
    machine and in every version.

    Parameters
    ----------
    seeds
        From 0 to 2³² − 1.
    size
        Length of a latent.

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
    stream = np.random.RandomState()  # reseeded for every row, which is ten times faster than a new one
    for seed in seeds:
        if not 0 <= int(seed) < 2**32:
            raise InputError(f"seed {seed} is out of range; seeds go from 0 to {2**32 - 1}")
        stream.seed(int(seed))
        draws = stream.standard_normal(size)
        rows.append(np.round(draws / _GRAIN) * _GRAIN)
    return np.asarray(rows, np.float32).reshape(-1, size)
