"""What a measure has to say, in the form that the page, the terminal and machines share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Light = Literal["good", "fair", "poor", "unknown", "info"]

LIGHTS: Mapping[Light, str] = {
    "good": "Good",
    "fair": "Middling",
    "poor": "Poor",
    "unknown": "Cannot tell",
    "info": "To read",
}


@dataclass(frozen=True)
class ReportRow:
    """A figure beside its floor.

    Parameters
    ----------
    name
        Of the figure.
    value
        The model's, as text.
    interval
        Its 5th to 95th percentile, or empty.
    floor, floor_interval
        The same of real images, or empty.
    says
        What it says, in a sentence, and whether smaller is better.
    """

    name: str
    value: str
    interval: str = ""
    floor: str = ""
    floor_interval: str = ""
    says: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a heading; `value` and `floor` head the two columns of figures; a folded one is opened by a click."""

    title: str
    rows: tuple[ReportRow, ...]
    value: str = "this model"
    floor: str = "real images (floor)"
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A picture of figures.

    Parameters
    ----------
    name
        Of its file.
    title
        For people.
    alt
        The same in words, for who cannot see it.
    svg, png
        The picture, twice.
    """

    name: str
    title: str
    alt: str
    svg: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """What a measure found.

    Parameters
    ----------
    name
        Of the measure.
    title, question
        What it is called and what it asks.
    light
        The verdict.
    sentence
        The verdict in plain words, with its figures.
    rule
        By which rule the light was given.
    tables, charts
        What it rests on.
    notes
        What to keep in mind.
    """

    name: str
    title: str
    question: str
    light: Light
    sentence: str
    rule: str
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The light in words."""
        return LIGHTS[self.light]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the pictures."""
        return {
            "title": self.title,
            "question": self.question,
            "light": self.light,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "rule": self.rule,
            "tables": [asdict(table) for table in self.tables],
            "notes": list(self.notes),
        }


def number(value: float | None) -> float:
    """A number of JSON, where one that was none is null."""
    return float("nan") if value is None else float(value)


def figure(value: float | None) -> str:
    """A number as people read it: three digits that count."""
    value = number(value)
    if value == 0:
        return "0"
    if not abs(value) < float("inf"):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 if abs(value) < 10 else 1}f}" if abs(value) >= 0.1 else f"{value:.2g}"


def span(low: float | None, high: float | None) -> str:
    """An interval as people read it; empty where there is none."""
    known = all(abs(number(x)) < float("inf") for x in (low, high))
    return f"{figure(low)} to {figure(high)}" if known else ""
