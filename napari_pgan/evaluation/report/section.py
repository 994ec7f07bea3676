"""Results of a measure in the form that page, terminal and JSON share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from napari_pgan.evaluation.likeness.split_half import WithBaseline
from napari_pgan.evaluation.to_json import to_json

Rating = Literal["good", "fair", "poor", "unknown", "info"]

RATINGS: Mapping[Rating, str] = {
    "good": "Good",
    "fair": "Middling",
    "poor": "Poor",
    "unknown": "Cannot tell",
    "info": "To read",
}


@dataclass(frozen=True)
class ReportRow:
    """A metric with its baseline, as text.

    Parameters
    ----------
    name
        Name of the metric.
    value, interval
        Value of the model, and its 5th to 95th percentile; may be empty.
    baseline, baseline_interval
        The same for real images; may be empty.
    says
        Explanation, and whether smaller is better.
    """

    name: str
    value: str
    interval: str = ""
    baseline: str = ""
    baseline_interval: str = ""
    says: str = ""

    @classmethod
    def of(cls, name: str, metric: WithBaseline, says: str) -> ReportRow:
        """Format a metric."""
        baseline = format_interval(metric.baseline_low, metric.baseline_high)
        interval = format_interval(metric.low, metric.high)
        return cls(name, format_number(metric.value), interval, format_number(metric.baseline), baseline, says)


@dataclass(frozen=True)
class Table:
    """Rows under a title; `value` and `baseline` are column headings; a folded table opens on click."""

    title: str
    rows: tuple[ReportRow, ...]
    value: str = "this model"
    baseline: str = "real images (baseline)"
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart.

    Parameters
    ----------
    name
        File name without suffix.
    title
        Title for display.
    alt
        Text alternative.
    svg, png
        The image in both formats.
    """

    name: str
    title: str
    alt: str
    svg: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """The report of a measure.

    Parameters
    ----------
    name
        Name of the measure.
    title, question
        Heading, and the question the measure answers.
    rating
        The verdict.
    sentence
        The verdict in words, with its numbers.
    rule
        The rule behind the rating.
    tables, charts
        Detailed results.
    notes
        Limitations.
    """

    name: str
    title: str
    question: str
    rating: Rating
    sentence: str
    rule: str
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The rating as a word."""
        return RATINGS[self.rating]

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values, without charts; the rating is called ``light``."""
        return {
            "title": self.title,
            "question": self.question,
            "light": self.rating,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "rule": self.rule,
            "tables": to_json(self.tables),
            "notes": list(self.notes),
        }


def to_float(value: float | None) -> float:
    """Convert a number from JSON, where NaN is null."""
    return float("nan") if value is None else float(value)


def finite_mean(values: Iterable[float]) -> float:
    """Return the mean of the finite values; NaN if there are none."""
    finite = [x for x in values if math.isfinite(x)]
    return sum(finite) / len(finite) if finite else float("nan")


def format_number(value: float | None) -> str:
    """Format a number with about three significant digits."""
    value = to_float(value)
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 if abs(value) < 10 else 1}f}" if abs(value) >= 0.1 else f"{value:.2g}"


def format_interval(low: float | None, high: float | None) -> str:
    """Format an interval; empty if it is not finite."""
    known = math.isfinite(to_float(low)) and math.isfinite(to_float(high))
    return f"{format_number(low)} to {format_number(high)}" if known else ""
