"""The report section of memorisation. Pictures of the pairs show subjects and are not part of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_pgan.evaluation.memorisation.copies import CANNOT_TELL, NONE, SOME, Memorisation, Rule
from napari_pgan.evaluation.memorisation.planted import DESCRIPTIONS
from napari_pgan.evaluation.report.charts import histogram
from napari_pgan.evaluation.report.section import (
    Chart,
    Rating,
    ReportRow,
    Section,
    Table,
    format_interval,
    format_number,
)

TITLE = "Memorisation: does it reproduce its training images?"
_QUANTITIES = {
    "ratio": "distance to the nearest training subject, relative to other subjects",
    "distance": "distance to the nearest training image",
}
_SCALES = {
    "ratio": "Near 1, an image is no closer to one subject than to others; near 0, it is a copy.",
    "distance": "0 is the same image.",
}


def memorisation_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """Create the section from the result of `measure_memorisation`."""
    found = Memorisation.from_dict(result)
    tables = []
    if found.rules:
        rows = tuple(row for rule in found.rules for row in _rows(rule))
        tables = [
            Table("Distance to the nearest training subject", rows, "generated images", "held-out subjects (baseline)"),
            Table("Tests of the search", tuple(_tests(found)), "found", ""),
        ]
    return Section(
        name="memorisation",
        title=TITLE,
        question="Are generated images closer to training subjects than images of new subjects are?",
        rating=_rating(found),
        sentence=found.sentence,
        rule="Good: no generated image is closer than any of the same number of images of new subjects would be, with "
        "95 % confidence, as estimated from held-out subjects. Middling: the number of copies is within the false "
        "alarms expected from held-out subjects. Poor: there are more. If none is found, the result is inconclusive "
        "if the store lacks subjects that the model was trained on, or if the search misses half of the planted "
        "copies of any kind.",
        tables=tuple(tables),
        charts=tuple(_chart(rule) for rule in found.rules if rule.decides),
        notes=(
            f"{found.samples:,} samples and their flips were compared with all {found.training_images:,} images of "
            f"{found.training_subjects} training subjects; the thresholds come from {found.held_out_images:,} images "
            f"of {found.held_out_subjects} held-out subjects.",
            "The search detects copies of whole images, not of parts, such as a lesion in another head.",
            *found.notes,
        ),
    )


def _rating(found: Memorisation) -> Rating:
    if found.verdict == CANNOT_TELL:
        return "unknown"
    if found.verdict == NONE:
        return "good"
    alarms, of = found.false_alarms
    expected = found.samples * alarms / max(of, 1)
    return "fair" if found.verdict == SOME and found.copies <= expected + 2 * math.sqrt(expected) else "poor"


def _rows(rule: Rule) -> list[ReportRow]:
    name = f"{rule.view}: {_QUANTITIES[rule.quantity]}"
    limit = format_number(rule.threshold)
    says = (
        f"Images below {limit} count as copies." if rule.decides else "For information: smooth images are near to all."
    )
    below = f"{rule.copies:,} below {limit}" if rule.decides else ""
    return [
        ReportRow(f"{name}, minimum", format_number(rule.smallest), below, format_number(rule.held_out_smallest), "",
            f"{says} {_SCALES[rule.quantity]}"),
        ReportRow(f"{name}, median", format_number(rule.median), "", format_number(rule.held_out_median), "",
            "Equal to the baseline is best; well below it, the model stays close to its training images."),
    ]  # fmt: skip


def _tests(found: Memorisation) -> list[ReportRow]:
    rows = [
        ReportRow(f"planted: {kind}", f"{hits} of {of}", says=f"Training images, flipped and {DESCRIPTIONS[kind]}.")
        for kind, (hits, of) in found.found.items()
    ]
    alarms, of = found.false_alarms
    if of:
        says = "Held-out images classified as copies by thresholds from other held-out subjects."
        rows.append(ReportRow("false alarms", f"{alarms} of {of:,}", says=says))
    if np.isfinite(found.nearer):
        interval = format_interval(100 * found.nearer_low, 100 * found.nearer_high)
        says = (
            "Share of samples closer to training images than the median held-out image: 50 % for new subjects, 100 % "
            "for a model that stays close to its training images. The interval is over resampled held-out subjects."
        )
        rows.append(ReportRow("closer than the median", f"{100 * found.nearer:.0f} %", f"{interval} %", says=says))
    return rows


def _chart(rule: Rule) -> Chart:
    ratio = rule.quantity == "ratio"
    return histogram(
        f"memorisation-{rule.view}",
        f"Distance of images to the nearest training subject ({rule.view})",
        [("generated images", np.array(rule.samples)), ("held-out subjects", np.array(rule.held_out))],
        np.array(rule.edges),
        f"distance to the nearest training subject{' ÷ to other subjects' if ratio else ''}",
        [("threshold: copies on the left", rule.threshold)],
    )
