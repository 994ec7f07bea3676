"""A page that shows how each subject of a cohort was registered, the worst first; it needs no network."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pgan.atomic import write_text
from napari_pgan.imaging.quality import ATLAS_LIMITS, Limits, Quality
from napari_pgan.imaging.report import PICTURELESS, Report, subjects_said

PAGE = "quality.html"

_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0}"
    "td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}.bad{color:#b00020;font-weight:600}section{margin:2.5em 0}"
    "img{max-width:100%;background:#000;margin:.3em 0}figure{margin:0}figcaption{color:#666}"
)
_COLUMNS = (
    ("similarity before", "before", "{:.3f}"),
    ("after", "after", "{:.3f}"),
    ("moved (mm)", "moved", "{:.1f}"),
    ("turned (°)", "turned", "{:.1f}"),
    ("disagreement (mm)", "disagreement", "{:.2f}"),
    ("overlap of heads", "overlap", "{:.3f}"),
    ("head covered", "covered", "{:.1%}"),
    ("mirrored / straight", "mirrored", "{:.2f}"),
)


@dataclass(frozen=True)
class _Row:
    name: str
    key: str
    reason: str | None
    parts: dict[str, Quality]
    clipped: dict[str, float]

    def badness(self, limits: Limits) -> float:
        return max((q.badness(ATLAS_LIMITS if p == "atlas" else limits) for p, q in self.parts.items()), default=0.0)


def write_page(folder: Path, report: Report, limits: Limits | None = None) -> Path:
    """Write ``quality.html`` beside the subjects' pictures; subjects set aside come first, then by their worst figure.

    The page names subjects and shows them, for whoever holds the cohort.

    Returns
    -------
    path
        Of the page.
    """
    limits = limits or Limits()
    rows = sorted(_rows(report), key=lambda row: (row.reason is None, -row.badness(limits), row.name))
    lost = [a for a in report.aside if not a.figures]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(report.name)}: registration</title>",
        f"<style>{_STYLE}</style><h1>{_text(report.name)}: registration</h1>",
        f"<p>{subjects_said(len(report.subjects))} taken, {len(report.aside)} set aside of {report.found} found; "
        "the worst first. Pictures: before (above) and after, the fields of the board in turn from the "
        "reference and the other. Edges should run on from field to field.</p>",
        "<p>This page names subjects and shows them: keep it where the cohort is kept.</p>",
        f"<p>A subject is set aside when searches from either side end more than {limits.disagreement:g} mm apart, "
        f"heads overlap by less than {limits.overlap:g} Dice, less than {limits.covered:.0%} of the head is covered, "
        "two volumes are less alike than before, or one of them is more like the mirror image of the other (by more "
        f"than {limits.mirrored:g}). Against an atlas {ATLAS_LIMITS.disagreement:g} mm and {ATLAS_LIMITS.overlap:g} "
        "Dice are allowed, and exchanged sides are only marked.</p>",
    ]
    if count := without_pictures(folder, report):
        parts.append(f"<p>{subjects_said(count)} {PICTURELESS}.</p>")
    if lost:
        listed = "".join(f"<li>{_text(a.name)}: {_text(a.reason)}</li>" for a in lost)
        parts.append(f"<h2>Set aside before registration</h2><ul>{listed}</ul>")
    parts += [_section(row, folder, limits) for row in rows]
    path = folder / PAGE
    write_text(path, "\n".join(parts) + "\n")
    return path


def _rows(report: Report) -> Iterator[_Row]:
    for key, about in report.subjects.items():
        if "registration" in about:
            clipped = {part: x["clipped"] for part, x in about.get("normalisation", {}).items()}
            yield _Row(report.names.get(key, key), key, None, _qualities(about["registration"]), clipped)
    for aside in report.aside:
        if aside.figures:
            yield _Row(aside.name, aside.key, aside.reason, _qualities(aside.figures), {})


def _qualities(registration: Mapping[str, Any]) -> dict[str, Quality]:
    """Part → figures; that of the atlas is called so."""
    every = registration["parts"] | ({"atlas": registration["atlas"]} if "atlas" in registration else {})
    return {part: Quality.from_dict(about["quality"]) for part, about in every.items() if "quality" in about}


def without_pictures(folder: Path, report: Report) -> int:
    """How many subjects of the page were taken by an earlier run that drew no pictures here."""
    return sum(bool(row.parts) and not _pictured(row, folder) for row in _rows(report))


def _pictured(row: _Row, folder: Path) -> list[str]:
    """The parts that have a picture."""
    return [part for part in row.parts if (folder / row.key / f"{part}.png").is_file()]


def _section(row: _Row, folder: Path, limits: Limits) -> str:
    head = "".join(f"<th>{title}</th>" for title, _, _ in _COLUMNS)
    lines, pictured = [], _pictured(row, folder)
    for part, quality in row.parts.items():
        cells = "".join(f"<td>{_cell(quality, name, form)}</td>" for _, name, form in _COLUMNS)
        clipped = f"{row.clipped[part]:.2%}" if part in row.clipped else ""
        wrong = quality.problem(ATLAS_LIMITS) if part == "atlas" else quality.problem(limits)
        bad = " class=bad" if wrong or quality.mirrored > limits.mirrored else ""
        lines.append(f"<tr{bad}><td>{_text(part)}</td>{cells}<td>{clipped}</td></tr>")
    reason = f"<p class=bad>Set aside: {_text(row.reason)}</p>" if row.reason else ""
    table = f"<table><tr><th></th>{head}<th>clipped</th></tr>{''.join(lines)}</table>"
    pictures = "".join(
        f"<figure><figcaption>{_text(part)}</figcaption>"
        f'<img loading=lazy src="{_text(f"{row.key}/{part}.png")}"></figure>'
        for part in pictured
    )
    none = (
        "" if pictured or not row.parts else "<p>No picture: it was prepared by an earlier run that made none here.</p>"
    )
    return f"<section><h2>{_text(row.name)}</h2>{reason}{table}{pictures or none}</section>"


def _cell(quality: Quality, name: str, form: str) -> str:
    if name == "mirrored" and not quality.mirrored:
        return "–"  # not measured, as for the shipped atlas, whose sides are alike
    return form.format(getattr(quality, name))


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
