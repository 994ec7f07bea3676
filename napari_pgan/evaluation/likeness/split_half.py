"""Real-vs-real baseline: the same metric between two halves of the real subjects.

A metric means little without its baseline. The subjects are split at random into halves A and B, several times. Each
time the model's images are compared with B, and so are those of A, with the same number of images, since many metrics
depend on it. Subjects are split, not images: slices of a subject are alike, and a model should resemble new subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.to_json import to_json

LOW, HIGH = 5, 95  # percentiles over random splits


@dataclass(frozen=True)
class WithBaseline:
    """A metric of a model and its baseline, each the mean over random splits with an interval.

    Parameters
    ----------
    value, low, high
        Generated images against half of the subjects: mean, 5th and 95th percentile over splits.
    baseline, baseline_low, baseline_high
        The same for the other half of the subjects.
    """

    value: float
    low: float
    high: float
    baseline: float
    baseline_low: float
    baseline_high: float

    def to_dict(self) -> dict[str, float]:
        """Convert to JSON values; the baseline is called ``floor``."""
        return to_json(self)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WithBaseline:
        """Inverse of `to_dict`."""
        return cls(*(float(values[name.replace("baseline", "floor")]) for name in cls.__dataclass_fields__))

    @classmethod
    def of(cls, values: Sequence[float], baselines: Sequence[float]) -> WithBaseline:
        """Summarise one value and one baseline per split."""
        return cls(*_summary(values), *_summary(baselines))


@dataclass(frozen=True)
class Comparison:
    """Rows of three sets of the same size: generated and other are each compared with reference.

    Parameters
    ----------
    generated
        Rows of the generated images, ascending, int64 (n,).
    other
        Rows of the real images that give the baseline.
    reference
        Rows of the real images to compare with.
    """

    generated: np.ndarray
    other: np.ndarray
    reference: np.ndarray

    def __len__(self) -> int:
        return len(self.reference)


def halvings(
    subject: np.ndarray, generated: int, *, times: int = 5, count: int | None = None, seed: int = 0
) -> list[Comparison]:
    """Split the subjects into random halves several times.

    Parameters
    ----------
    subject
        (R,), the subject of each real image; all images of a subject fall into the same half.
    generated
        Number of generated images.
    times
        Number of splits.
    count
        Maximum number of images per set.
    seed
        Seed of splits and choices.

    Returns
    -------
    list
        One `Comparison` per split. All sets have the same size: the smallest of any half, the generated images and
        `count`.

    Raises
    ------
    InputError
        There are fewer than two subjects, or no generated images.
    """
    names = np.unique(subject)
    if len(names) < 2:
        raise InputError(f"cannot split {len(names)} subject into halves; at least two real subjects are needed")
    if generated < 1:
        raise InputError("there are no generated images to compare; generate at least one")
    rng = np.random.default_rng([seed, 0])
    parts = []
    for _ in range(times):
        first = np.isin(subject, rng.permutation(names)[: len(names) // 2])
        halves = [rng.permutation(np.flatnonzero(chosen)) for chosen in (first, ~first)]
        if rng.random() < 0.5:  # with an odd number of subjects, either half may be the larger one
            halves.reverse()
        parts.append((rng.permutation(generated), *halves))
    n = min(len(rows) for part in parts for rows in part)
    n = min(n, count) if count is not None else n
    return [Comparison(*(np.sort(rows[:n]) for rows in part)) for part in parts]


def held_out(
    held: np.ndarray, generated: int, *, times: int = 5, count: int | None = None, seed: int = 0
) -> list[Comparison]:
    """Draw generated and training images to compare with held-out ones, several times and in equal number.

    Parameters
    ----------
    held
        bool (R,): whether the model has not seen the subject of the real image.
    generated, times, count, seed
        As in `halvings`.

    Returns
    -------
    list
        One `Comparison` per draw; empty if no subject or every subject is held out.
    """
    reference, other = np.flatnonzero(held), np.flatnonzero(~held)
    n = min(len(reference), len(other), generated, *([] if count is None else [count]))
    if n < 1:
        return []
    rng = np.random.default_rng([seed, 1])
    return [
        Comparison(*(np.sort(rng.permutation(rows)[:n]) for rows in (np.arange(generated), other, reference)))
        for _ in range(times)
    ]


Distances = Callable[[np.ndarray, np.ndarray], Mapping[str, float]]


def with_baseline(
    distances: Distances, real: np.ndarray, generated: np.ndarray, comparisons: Sequence[Comparison]
) -> dict[str, WithBaseline]:
    """Compute metrics and their baseline over several comparisons.

    Parameters
    ----------
    distances
        (images or features, reference) → name → value.
    real, generated
        (R, …) and (F, …), images or features that the comparisons index.
    comparisons
        From `halvings` or `held_out`.

    Returns
    -------
    dict
        Name → metric with baseline.
    """
    models, baselines = [], []
    for comparison in comparisons:
        reference = real[comparison.reference]
        models.append(distances(generated[comparison.generated], reference))
        baselines.append(distances(real[comparison.other], reference))
    return {name: WithBaseline.of([m[name] for m in models], [b[name] for b in baselines]) for name in models[0]}


def _summary(values: Sequence[float]) -> tuple[float, float, float]:
    low, high = np.percentile(values, [LOW, HIGH])
    return float(np.mean(values)), float(low), float(high)
