"""Confidence intervals by the bootstrap (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_ROUNDS = 2000
_PERCENTILES = (5, 95)


def bootstrap(statistic: Callable[[np.ndarray], float], rows: np.ndarray) -> tuple[float, float, float]:
    """Return the 5th percentile, value and 95th percentile of a statistic, resampling rows with replacement.

    Parameters
    ----------
    statistic
        Function of rows. Samples with a non-finite value are ignored.
    rows
        (n, …), one per group, such as a subject. The result is NaN if there are none.
    """
    if not len(rows):
        return float("nan"), float("nan"), float("nan")
    random = np.random.default_rng(0)
    rounds = [statistic(rows[random.integers(0, len(rows), len(rows))]) for _ in range(_ROUNDS)]
    finite = [x for x in rounds if np.isfinite(x)]
    low, high = np.percentile(finite, _PERCENTILES) if finite else (float("nan"), float("nan"))
    return float(low), statistic(rows), float(high)
