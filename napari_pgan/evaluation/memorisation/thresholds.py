"""Threshold below which a generated image is suspiciously close, from the distances of held-out real images."""

from __future__ import annotations

import numpy as np

from napari_pgan.evaluation.memorisation.copies import Rule

_CHANCE = 0.05  # probability of a false alarm in the whole set
_BINS = 40


def threshold(held_out: np.ndarray, judged: int) -> float:
    """Return the threshold for copies, from the values of held-out real images (n,).

    If all `judged` images were of new subjects, the probability that one falls below the threshold would be 5 %. There
    are too few held-out images to measure this directly, so their lower tail is extrapolated as exponential: mean
    excess of the logarithm below the 10th percentile (Pickands 1975), plus one standard error.
    """
    logs = np.log(np.maximum(held_out, 1e-6))
    tenth = np.quantile(logs, 0.1)
    excess = tenth - logs[logs <= tenth]
    steepness = max(0.02, float(excess.mean() * (1 + 1 / np.sqrt(len(excess)))))
    return float(np.exp(logs.min() - steepness * np.log(max(1.0, judged / _CHANCE / len(logs)))))


def false_alarms(figures: list[np.ndarray], subject: np.ndarray, subjects: int) -> tuple[int, int]:
    """Count held-out images classified as copies by thresholds from the other half of the subjects, and all tested.

    Parameters
    ----------
    figures
        Values of the held-out images (n,) for each deciding rule.
    subject
        (n,), index of the subject, from 0 to `subjects`.
    """
    if subjects < 4:  # one subject per half is not representative
        return 0, 0
    first = subject % 2 == 0
    alarms = np.zeros(len(subject), bool)
    for values in figures:
        for half in (first, ~first):
            alarms[half] |= values[half] < threshold(values[~half], len(figures) * int(half.sum()))
    return int(alarms.sum()), len(alarms)


def share_nearer(
    samples: np.ndarray, held_out: np.ndarray, subject: np.ndarray, subjects: int, random: np.random.Generator
) -> tuple[float, float, float]:
    """Share of generated images below the median held-out one, with its 5th and 95th percentile over subjects."""
    if not len(held_out):
        return float("nan"), float("nan"), float("nan")
    of = [held_out[subject == i] for i in range(subjects)]
    draws = []
    for _ in range(200):
        drawn = np.concatenate([of[i] for i in random.integers(0, subjects, subjects)])
        draws.append(float((samples < np.median(drawn)).mean()))
    low, high = np.percentile(draws, [5, 95])
    return float((samples < np.median(held_out)).mean()), float(low), float(high)


def rule_of(view: str, quantity: str, decides: bool, limit: float, samples: np.ndarray, held_out: np.ndarray) -> Rule:
    """Create a rule with its statistics of generated and held-out images."""
    top = max(1.0, float(samples.max()), float(held_out.max()))
    edges = np.linspace(0, top, _BINS + 1)
    return Rule(
        view,
        quantity,
        decides,
        limit,
        int((samples < limit).sum()),
        float(samples.min()),
        float(np.median(samples)),
        float(held_out.min()),
        float(np.median(held_out)),
        tuple(float(edge) for edge in edges),
        *(tuple(int(n) for n in np.histogram(values, edges)[0]) for values in (samples, held_out)),
    )
