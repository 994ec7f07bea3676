"""What is usual among held-out real images, and from where on a generated one is too near to be chance."""

from __future__ import annotations

import numpy as np

from napari_pgan.evaluation.memorisation.copies import Rule

_CHANCE = 0.05  # of calling any image a copy, if none is
_BINS = 40


def threshold(held_out: np.ndarray, judged: int) -> float:
    """Below which a figure is a copy's, from the figures of held-out real images (n,).

    So low that, if all `judged` images were new patients', one of them would fall below it by a chance of 5 % only.
    Held-out images are fewer than that takes, so their lower tail is drawn on beyond the smallest of them as an
    exponential one: mean excess of the logarithm below the 10th percentile (Pickands 1975), and one standard error of
    it, since of few images it is uncertain.
    """
    logs = np.log(np.maximum(held_out, 1e-6))
    tenth = np.quantile(logs, 0.1)
    excess = tenth - logs[logs <= tenth]
    steepness = max(0.02, float(excess.mean() * (1 + 1 / np.sqrt(len(excess)))))
    return float(np.exp(logs.min() - steepness * np.log(max(1.0, judged / _CHANCE / len(logs)))))


def false_alarms(figures: list[np.ndarray], subject: np.ndarray, subjects: int) -> tuple[int, int]:
    """Held-out images that a threshold of the other half of the subjects takes for copies, and of how many.

    Parameters
    ----------
    figures
        Of each rule that decides, the held-out images' figures (n,).
    subject
        (n,) whose image it is, 0 to `subjects`.
    """
    if subjects < 4:  # one subject does not say what is usual
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
    """Share of generated images below the median held-out one; 5th and 95th percentile over draws of its subjects."""
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
    """A rule with what it says of generated and of held-out images."""
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
