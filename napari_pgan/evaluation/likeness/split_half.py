"""A figure says something beside its floor: the same figure between two halves of the real subjects.

The subjects are parted into halves A and B at random, several times. Each time the model's images are compared with B,
and so are A's, as many of each: many measures fall or rise with the number of images, so figures at unequal counts say
nothing. Halves are of subjects, not of images, since a subject's slices are alike and a model shall be like a new
patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError

LOW, HIGH = 5, 95  # percentiles over halvings


@dataclass(frozen=True)
class WithBaseline:
    """A model's figure and its floor, each the mean over halvings with an interval.

    Parameters
    ----------
    value, low, high
        Generated images against half of the subjects: mean, 5th and 95th percentile over halvings.
    floor, floor_low, floor_high
        The other half in their place.
    """

    value: float
    low: float
    high: float
    floor: float
    floor_low: float
    floor_high: float

    def to_dict(self) -> dict[str, float]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WithBaseline:
        """The inverse of `to_dict`."""
        return cls(**{name: float(values[name]) for name in cls.__dataclass_fields__})

    @classmethod
    def of(cls, values: Sequence[float], floors: Sequence[float]) -> WithBaseline:
        """Of one value and one floor a halving."""
        return cls(*_summary(values), *_summary(floors))


@dataclass(frozen=True)
class Comparison:
    """Rows of three sets with as many images each, to be compared as generated ↔ reference and other ↔ reference.

    Parameters
    ----------
    generated
        Rows of the generated images, ascending, int64 (n,).
    other
        Rows of the real images that the floor is measured with.
    reference
        Rows of the real images that both are held against.
    """

    generated: np.ndarray
    other: np.ndarray
    reference: np.ndarray

    def __len__(self) -> int:
        return len(self.reference)


def halvings(
    subject: np.ndarray, generated: int, *, times: int = 5, count: int | None = None, seed: int = 0
) -> list[Comparison]:
    """Part the subjects into halves at random, again and again.

    Parameters
    ----------
    subject
        (R,), whose image each real one is; a subject's images all fall into one half.
    generated
        Generated images there are.
    times
        Halvings.
    count
        Images of a set at most.
    seed
        Decides halves and choices; equal input and seed give equal halves.

    Returns
    -------
    list
        One `Comparison` a halving: rows of generated images among them, rows of real ones among the real. All have one
        count: the least that any halving, or the generated images, can give.

    Raises
    ------
    InputError
        There are fewer than two subjects, or no generated images.
    """
    names = np.unique(subject)
    if len(names) < 2:
        raise InputError(
            f"{len(names)} subject cannot be parted into halves; a figure needs two real subjects at least beside it"
        )
    if generated < 1:
        raise InputError("there are no generated images to compare; sample one at least")
    rng = np.random.default_rng([seed, 0])
    parts = []
    for _ in range(times):
        first = np.isin(subject, rng.permutation(names)[: len(names) // 2])
        halves = [rng.permutation(np.flatnonzero(chosen)) for chosen in (first, ~first)]
        if rng.random() < 0.5:  # of an odd number of subjects the larger half is now A's, now B's
            halves.reverse()
        parts.append((rng.permutation(generated), *halves))
    n = min(len(rows) for part in parts for rows in part)
    n = min(n, count) if count is not None else n
    return [Comparison(*(np.sort(rows[:n]) for rows in part)) for part in parts]


def held_out(
    held: np.ndarray, generated: int, *, times: int = 5, count: int | None = None, seed: int = 0
) -> list[Comparison]:
    """Generated images and training images against held-out ones, drawn at random several times, as many of each.

    Parameters
    ----------
    held
        bool (R,): the real image is of a subject that the model has not seen.
    generated, times, count, seed
        As in `halvings`.

    Returns
    -------
    list
        One `Comparison` a draw; empty where no subject is held out, or all are.
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


def beside(
    distances: Distances, real: np.ndarray, generated: np.ndarray, trios: Sequence[Comparison]
) -> dict[str, WithBaseline]:
    """Measure rows of two arrays, trio by trio.

    Parameters
    ----------
    distances
        (images or features, reference) → name → figure.
    real, generated
        (R, …) and (F, …), images or features, of which the trios name rows.
    trios
        From `halvings` or `held_out`.

    Returns
    -------
    dict
        Name → figure beside its floor.
    """
    models, floors = [], []
    for trio in trios:
        reference = real[trio.reference]
        models.append(distances(generated[trio.generated], reference))
        floors.append(distances(real[trio.other], reference))
    return {name: WithBaseline.of([m[name] for m in models], [f[name] for f in floors]) for name in models[0]}


def _summary(values: Sequence[float]) -> tuple[float, float, float]:
    low, high = np.percentile(values, [LOW, HIGH])
    return float(np.mean(values)), float(low), float(high)
