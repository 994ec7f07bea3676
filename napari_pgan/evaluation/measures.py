"""The measures by name: what each needs, and how it is taken of a work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.evaluation.work import Work

QUICK = ("likeness", "memorisation")


@dataclass(frozen=True)
class Measure:
    """A measure.

    Parameters
    ----------
    title
        For people.
    version
        Grows when its figures change; results of another version are taken again.
    take
        Takes it; gives JSON.
    refuse
        Raises InputError where the work does not allow it.
    options
        What beside the evaluation's facts decides its figures.
    """

    title: str
    version: int
    take: Callable[[Work], dict[str, Any]]
    refuse: Callable[[Work], None] = lambda work: None
    options: Callable[[Work], Any] = lambda work: None


def parse_measures(text: str) -> tuple[str, ...]:
    """``quick``, ``all``, or names with commas between, in the order in which they are taken.

    Raises
    ------
    InputError
        There is no such measure.
    """
    names = {word.strip() for word in text.split(",") if word.strip()}
    wrong = sorted(names - {"quick", "all", *MEASURES})
    if wrong or not names:
        what = f"there is no measure {wrong[0]!r}" if wrong else "no measure is named"
        raise InputError(f"--measures {text!r}: {what}; give quick, all, or some of {', '.join(MEASURES)}")
    if "all" in names:
        return tuple(MEASURES)
    return tuple(name for name in MEASURES if name in names or ("quick" in names and name in QUICK))


def _trends(work: Work) -> dict[str, Any]:
    from napari_pgan.evaluation.trends import measure_trends

    return measure_trends(work)


def _history(work: Work) -> Any:
    return None if work.run is None else [list(work.run.distances), [model.identity for model in work.run.models]]


MEASURES: Mapping[str, Measure] = {
    "trends": Measure("trends", 1, _trends, options=_history),
}
