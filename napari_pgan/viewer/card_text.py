"""A model card as rich text for a dock."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from napari_pgan.schema import Grid

if TYPE_CHECKING:
    from napari_pgan.model import Card

_SPAN = {frozenset("LR"): "sagittal", frozenset("PA"): "coronal", frozenset("SI"): "axial"}
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}


def summary(card: Card) -> str:
    """Return a card as an HTML table with escaped content."""
    labels = " &nbsp;".join(
        f'<span style="color:{label.color}">■</span>&nbsp;{escape(label.name).replace(" ", "&nbsp;")}'
        for label in card.channels.labels
    )
    rows = [
        ("Images", escape(", ".join(card.channels.modalities))),
        ("Labels", labels or "none"),
        ("Grid", describe_grid(card.grid)),
        ("Trained on", escape(_training(card.training))),
        ("Licence", escape(card.licence)),
    ]
    cells = "".join(
        f'<tr><td style="padding-right:8px">{name}</td><td>{value}</td></tr>' for name, value in rows if value
    )
    return f"<table>{cells}</table>"


def describe_grid(grid: Grid) -> str:
    """Describe a grid: pixels, millimetres, orientation of the slices."""
    pixels = " × ".join(str(n) for n in grid.shape)
    if grid.spacing is None:
        return f"{pixels} pixels"
    size = " × ".join(f"{n * s:.0f}" for n, s in zip(grid.shape, grid.spacing, strict=True))
    steps = sorted({f"{s:.3g}" for s in grid.spacing}, key=float)
    text = f"{pixels} pixels of {' × '.join(steps)} mm ({size} mm)"
    if grid.orientation is not None and len(grid.shape) == 2:
        seen = {letter for x in grid.orientation for letter in (x, _OPPOSITE[x])}
        text += ", " + next(name for pair, name in _SPAN.items() if not pair & seen)
    return text


def _training(training: Mapping[str, Any]) -> str:
    parts = []
    if training.get("cohort"):
        parts.append(str(training["cohort"]))
    subjects = training.get("subjects")
    if isinstance(subjects, Mapping) and subjects.get("train"):
        parts.append(f"{subjects['train']} subjects")
    if isinstance(training.get("images"), (int, float)):
        parts.append(f"{training['images']:,.0f} images seen")
    if training.get("date"):
        parts.append(str(training["date"]))
    return ", ".join(parts) or "not stated"
