"""How sure a figure of some groups is: the groups are drawn anew with replacement (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_ROUNDS = 2000
_PERCENTILES = (5, 95)


def bootstrap(figure: Callable[[np.ndarray], float], rows: np.ndarray) -> tuple[float, float, float]:
    """5th percentile, value and 95th percentile of a figure of rows, which are drawn anew with replacement.

    Parameters
    ----------
    figure
        Takes rows of the shape of `rows`. Draws for which it is not finite do not count.
    rows
        (n, …), one a group, such as a subject; of none, the answer is NaN.
    """
    if not len(rows):
        return float("nan"), float("nan"), float("nan")
    random = np.random.default_rng(0)
    rounds = [figure(rows[random.integers(0, len(rows), len(rows))]) for _ in range(_ROUNDS)]
    finite = [x for x in rounds if np.isfinite(x)]
    low, high = np.percentile(finite, _PERCENTILES) if finite else (float("nan"), float("nan"))
    return float(low), figure(rows), float(high)
