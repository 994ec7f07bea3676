"""Memorisation in words, tables and charts. Pictures of the pairs show subjects and are no part of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_pgan.evaluation.memorisation.copies import CANNOT_TELL, NONE, SOME, Memorisation, Rule
from napari_pgan.evaluation.memorisation.planted import SAYS
from napari_pgan.evaluation.report.charts import histogram
from napari_pgan.evaluation.report.section import Chart, Light, ReportRow, Section, Table, figure, span

TITLE = "Memorisation: does it give its subjects away?"
_QUANTITIES = {
    "ratio": "distance to the nearest training subject, as a share of that to other subjects",
    "distance": "distance to the nearest training image",
}
_SAYS = {
    "ratio": "Near 1, an image is no nearer to one subject than to others; near 0, it is a copy.",
    "distance": "0 is the same image.",
}


def memorisation_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """The section of what `measure_memorisation` found."""
    found = Memorisation.from_dict(result)
    tables = []
    if found.rules:
        tables.append(
            Table("The closest image, and how close images come", tuple(row for r in found.rules for row in _rows(r)),
                  "generated images", "held-out subjects (floor)")
        )  # fmt: skip
        tables.append(Table("Trials of the search itself", tuple(_trials(found)), "found", ""))
    return Section(
        name="memorisation",
        title=TITLE,
        question="Is a generated image nearer to a subject of the training than a new subject's image is?",
        light=_light(found),
        sentence=found.sentence,
        rule="Good: none is nearer than any of as many images of new subjects would be (with 95 % certainty, going by "
        "images of held-out subjects). Middling: no more are than the search would take of held-out subjects' images "
        "by mistake, give or take chance. Poor: more. Where none is found, it cannot be told whether there are any if "
        "the store does not hold all subjects that the model was trained on, or if the search misses half of any kind "
        "of copies that are planted as a trial.",
        tables=tuple(tables),
        charts=tuple(_chart(rule) for rule in found.rules if rule.decides),
        notes=(
            f"{found.samples:,} samples, flipped and not, were held against all {found.training_images:,} images of "
            f"{found.training_subjects} training subjects; {found.held_out_images:,} images of "
            f"{found.held_out_subjects} held-out subjects say what is usual.",
            "Copies of whole images are searched for; copies of a part, such as a lesion in another head, are not.",
            *found.notes,
        ),
    )


def _light(found: Memorisation) -> Light:
    if found.verdict == CANNOT_TELL:
        return "unknown"
    if found.verdict == NONE:
        return "good"
    alarms, of = found.false_alarms
    expected = found.samples * alarms / max(of, 1)
    return "fair" if found.verdict == SOME and found.copies <= expected + 2 * math.sqrt(expected) else "poor"


def _rows(rule: Rule) -> list[ReportRow]:
    name = f"{rule.view}: {_QUANTITIES[rule.quantity]}"
    limit = figure(rule.threshold)
    told = (
        f"Below {limit}, it counts as a copy." if rule.decides else "It decides nothing: smooth images are near to all."
    )
    below = f"{rule.copies:,} below {limit}" if rule.decides else ""
    return [
        ReportRow(f"{name}, closest", figure(rule.smallest), below, figure(rule.held_out_smallest), "",
            f"{told} {_SAYS[rule.quantity]}"),
        ReportRow(f"{name}, median", figure(rule.median), "", figure(rule.held_out_median), "",
            "As for held-out subjects is best; well below, the model hugs its training images."),
    ]  # fmt: skip


def _trials(found: Memorisation) -> list[ReportRow]:
    rows = [
        ReportRow(
            f"planted: {kind}", f"{hits} of {of}", "", "", "", f"Copies of training images, flipped and {SAYS[kind]}."
        )
        for kind, (hits, of) in found.found.items()
    ]
    alarms, of = found.false_alarms
    if of:
        rows.append(ReportRow("false alarms", f"{alarms} of {of:,}", "", "", "",
                        "Held-out images taken for copies, when others of them set the threshold."))  # fmt: skip
    if np.isfinite(found.nearer):
        rows.append(ReportRow("nearer than usual", f"{100 * found.nearer:.0f} %",
                        f"{span(100 * found.nearer_low, 100 * found.nearer_high)} %", "", "",
                        "Samples that are nearer to training images than the median held-out image is: 50 % for new "
                        "subjects, 100 % for a model that hugs its training images. The interval is over draws of "
                        "held-out subjects."))  # fmt: skip
    return rows


def _chart(rule: Rule) -> Chart:
    ratio = rule.quantity == "ratio"
    return histogram(
        f"memorisation-{rule.view}",
        f"How near images are to the nearest training subject ({rule.view})",
        [("generated images", np.array(rule.samples)), ("held-out subjects", np.array(rule.held_out))],
        np.array(rule.edges),
        f"distance to the nearest training subject{' ÷ to other subjects' if ratio else ''}",
        [("copies lie left", rule.threshold)],
    )
