"""Offline HTML page with the registration and brain mask of each subject, worst first."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pgan.atomic import write_text
from napari_pgan.imaging.io.modality_names import ATLAS, BRAIN
from napari_pgan.imaging.preparation.report import NO_PICTURES, PreparationReport, count_subjects
from napari_pgan.imaging.registration.align import MIN_INSIDE
from napari_pgan.imaging.registration.brain_mask import DISAGREEMENT, SIZES
from napari_pgan.imaging.registration.quality import ATLAS_LIMITS, LIMITS, Limits, Quality

PAGE = "quality.html"

_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.5em 0}"
    "td,th{padding:.2em .6em;text-align:right;border-bottom:1px solid #ddd;vertical-align:bottom}"
    "th{font-weight:600;font-size:13px}td:first-child,th:first-child{text-align:left}"
    ".bad{color:#b00020;font-weight:600}section{margin:2.5em 0;border-top:2px solid #ccc}"
    "figure{margin:1em 0;background:#000;padding:.6em;border-radius:4px}figcaption{color:#ddd;margin:0 0 .4em}"
    "img{width:100%;display:block}ul.all{columns:3;padding-left:1.2em}"
)
_PICTURES = (
    "Planes follow the radiological convention: the patient's right (R) is on the left. The checkerboard alternates "
    "between the reference and the other image, before registration in the upper row and after it in the lower one: "
    "edges should continue from tile to tile. The yellow line is the border of the brain mask. Click a picture to see "
    "it alone."
)
_COLUMNS = (
    ("similarity before", "before", "{:.3f}"),
    ("after", "after", "{:.3f}"),
    ("moved (mm)", "moved", "{:.1f}"),
    ("rotated (°)", "turned", "{:.1f}"),
    ("disagreement (mm)", "disagreement", "{:.2f}"),
    ("overlap of heads", "overlap", "{:.3f}"),
    ("head covered", "covered", "{:.1%}"),
    ("mirrored / straight", "mirrored", "{:.2f}"),
)


@dataclass(frozen=True)
class _SubjectRow:
    name: str
    key: str
    reason: str | None
    parts: dict[str, Quality]
    clipped: dict[str, float]
    reference: str = ""
    brain: str = ""

    @property
    def severity(self) -> float:
        return max((quality.severity(_limits(part)) for part, quality in self.parts.items()), default=0.0)

    @property
    def captions(self) -> dict[str, str]:
        """Part → caption of its picture."""
        captions = {part: f"{part} on {self.reference}" for part in self.parts}
        if ATLAS in captions:
            captions[ATLAS] = f"{self.reference} on the atlas"
        return captions | ({BRAIN: self.brain} if self.brain else {})


def write_page(folder: Path, report: PreparationReport) -> Path:
    """Write ``quality.html`` to the folder of the pictures; rejected subjects come first, then the worst ones.

    The page names and shows subjects, so it must stay with the cohort. Return its path.
    """
    rows = sorted(_rows(report), key=lambda row: (row.reason is None, -row.severity, row.name))
    early = [a for a in report.rejected if not a.figures]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(report.name)}: quality</title>",
        f"<style>{_STYLE}</style><h1>{_text(report.name)}: quality of the preparation</h1>",
        f"<p>{count_subjects(len(report.subjects))} prepared, {len(report.rejected)} rejected of {report.found} found; "
        "the worst first. This page names and shows subjects: keep it with the cohort.</p>",
        f"<p>{_PICTURES}</p>",
        f"<p>A subject is rejected if forward and backward registration differ by more than {LIMITS.disagreement:g} "
        f"mm, heads overlap with a Dice below {LIMITS.overlap:g}, less than {LIMITS.covered:.0%} of the head is "
        f"covered, the similarity falls below {LIMITS.kept:g} times its initial value, or a volume is more than "
        f"{LIMITS.mirrored:g} times as similar to the mirror image of the reference. For an atlas the limits are "
        f"{ATLAS_LIMITS.disagreement:g} mm and a Dice of {ATLAS_LIMITS.overlap:g}, and exchanged sides are only "
        "marked.</p>",
        "<p>Brain extraction must succeed in at least one modality: forward and backward registration differ by at "
        f"most {DISAGREEMENT:g} mm, and the brain has {SIZES[0]:g} to {SIZES[1]:g} ml. Of a segmentation or brain mask "
        f"on its own grid, {MIN_INSIDE:.0%} must lie in the head.</p>",
    ]
    if count := count_without_pictures(folder, report):
        parts.append(f"<p>{count_subjects(count)} {NO_PICTURES}.</p>")
    if early:
        listed = "".join(f"<li>{_text(a.name)}: {_text(a.reason)}</li>" for a in early)
        parts.append(f"<h2>Rejected before registration</h2><ul>{listed}</ul>")
    if len(rows) > 1:
        bad = {row.key: " class=bad" if row.reason else "" for row in rows}
        every = "".join(f'<li{bad[row.key]}><a href="#{_text(row.key)}">{_text(row.name)}</a></li>' for row in rows)
        parts.append(f"<h2>Subjects</h2><ul class=all>{every}</ul>")
    parts += [_section(row, folder) for row in rows]
    path = folder / PAGE
    write_text(path, "\n".join(parts) + "\n")
    return path


def _rows(report: PreparationReport) -> Iterator[_SubjectRow]:
    for key, about in report.subjects.items():
        registration = about.get("registration", {})
        if registration or "brain_mask" in about:
            clipped = {part: x["clipped"] for part, x in about.get("normalisation", {}).items()}
            name, brain = report.names.get(key, key), _describe_brain(about.get("brain_mask"))
            yield _SubjectRow(
                name, key, None, _qualities(registration), clipped, registration.get("reference", ""), brain
            )
    for rejected in report.rejected:
        if rejected.figures:
            reference = rejected.figures["reference"]
            yield _SubjectRow(rejected.name, rejected.key, rejected.reason, _qualities(rejected.figures), {}, reference)


def _describe_brain(mask: Mapping[str, Any] | None) -> str:
    """Source and size of a brain mask; empty without brain extraction."""
    if mask is None:
        return ""
    if mask["given"]:
        source = "the subject's own mask"
    elif mask.get("stripped"):
        source = f"{mask['modality']} came without a skull"
    else:
        source = f"found in {mask['modality']} (forward and backward differ by {mask['disagreement']:.1f} mm)"
    return f"brain, {source}, {mask['millilitres']:.0f} ml"


def _qualities(registration: Mapping[str, Any]) -> dict[str, Quality]:
    """Part → registration quality, including the atlas."""
    every = registration.get("parts", {}) | ({ATLAS: registration["atlas"]} if "atlas" in registration else {})
    return {part: Quality.from_dict(about["quality"]) for part, about in every.items() if "quality" in about}


def count_without_pictures(folder: Path, report: PreparationReport) -> int:
    """Return the number of subjects on the page that an earlier run prepared without pictures in this folder."""
    return sum(bool(row.captions) and not _pictured(row, folder) for row in _rows(report))


def _pictured(row: _SubjectRow, folder: Path) -> dict[str, str]:
    """Part → caption of each existing picture."""
    return {part: caption for part, caption in row.captions.items() if (folder / row.key / f"{part}.png").is_file()}


def _section(row: _SubjectRow, folder: Path) -> str:
    head = "".join(f"<th>{title}</th>" for title, _, _ in _COLUMNS)
    lines, pictured = [], _pictured(row, folder)
    for part, quality in row.parts.items():
        cells = "".join(f"<td>{_cell(quality, name, form)}</td>" for _, name, form in _COLUMNS)
        clipped = f"{row.clipped[part]:.2%}" if part in row.clipped else ""
        bad = " class=bad" if quality.problem(_limits(part)) or quality.mirrored > LIMITS.mirrored else ""
        lines.append(f"<tr{bad}><td>{_text(part)}</td>{cells}<td>{clipped}</td></tr>")
    reason = f"<p class=bad>Rejected: {_text(row.reason)}</p>" if row.reason else ""
    table = f"<table><tr><th></th>{head}<th>clipped</th></tr>{''.join(lines)}</table>" if lines else ""
    pictures = "".join(
        f"<figure><figcaption>{_text(caption)}</figcaption>"
        f'<a href="{_text(f"{row.key}/{part}.png")}">'
        f'<img loading=lazy alt="{_text(caption)}" src="{_text(f"{row.key}/{part}.png")}"></a></figure>'
        for part, caption in pictured.items()
    )
    if row.captions and not pictured:
        pictures = "<p>No picture: an earlier run prepared this subject without pictures here.</p>"
    return f'<section id="{_text(row.key)}"><h2>{_text(row.name)}</h2>{reason}{table}{pictures}</section>'


def _limits(part: str) -> Limits:
    return ATLAS_LIMITS if part == ATLAS else LIMITS


def _cell(quality: Quality, name: str, form: str) -> str:
    if name == "mirrored" and not quality.mirrored:
        return "–"  # not measured, as for the symmetric shipped atlas
    return form.format(getattr(quality, name))


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
