"""Consistency in words, tables and charts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from napari_pgan.evaluation.report.charts import Mark, Panel, beside
from napari_pgan.evaluation.report.section import Light, ReportRow, Section, Table, figure, number, span

TITLE = "Consistency: does the mask fit the image?"
_GOOD, _FAIR = 0.9, 0.7  # of the floor, or the floor of it
_RIMS, _BROAD = 1.5, 3.0  # times the floor, or a part of it
_JUDGE = 0.4  # Dice on real pairs, below which the judge knows too little


def consistency_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """The section of what `measure_consistency` found."""
    rows = result["agreements"]
    labels = rows[:-1] if len(rows) > 1 else rows  # the last is all labels together
    mine, real = (_mean([number(row[key]) for row in labels]) for key in ("dice", "floor"))
    share = mine / real if real > 0 else float("nan")
    rims = [
        (row["modality"], number(row["generated"]) / number(row["real"]))
        for row in result["rims"]
        if number(row["generated"]) >= 0 and number(row["real"]) > 0
    ]
    marks = [
        Mark(row["label"], *(number(row[k]) for k in ("dice", "low", "high", "floor", "floor_low", "floor_high")))
        for row in rows
    ]
    tables = [
        Table(
            "How far a judge of real images agrees with the masks (Dice)",
            tuple(
                ReportRow(row["label"], figure(row["dice"]), span(row["low"], row["high"]), figure(row["floor"]),
                    span(row["floor_low"], row["floor_high"]),
                    f"Over {row['images']:,} generated and {row['floor_images']:,} real images that show it. As at the "
                    "floor is best: below, mask and image disagree; above, lesions are easier than real ones.")
                for row in rows
            ),
            floor="real pairs, held out (floor)",
        ),
        Table(
            "Rims: finer detail on borders of labels than elsewhere",
            tuple(
                ReportRow(row["modality"], figure(row["generated"]), "", figure(row["real"]), "",
                    "Well above real images, outlines of the mask show in the image as rings. As at the floor is best.")
                for row in result["rims"]
            ),
            floor="real pairs (floor)",
        ),
    ]  # fmt: skip
    return Section(
        name="consistency",
        title=TITLE,
        question="Would somebody who knows real images draw the mask where the model has it?",
        light=_light(share, [x for _, x in rims]) if real >= _JUDGE else "unknown",
        sentence=f"A segmenter that has learnt from real images agrees with the generated masks to a Dice of "
        f"{figure(mine)} on average over labels; with reference masks, on subjects whom it has not seen, to "
        f"{figure(real)}. {_read(share)}{_rims_in_words(rims)}",
        rule=f"Good: between {100 * _GOOD:.0f} and {100 / _GOOD:.0f} % of the floor, and no modality with rims more "
        f"than {_RIMS:g} times as sharp as in real images, or as many times less. Middling: between "
        f"{100 * _FAIR:.0f} and {100 / _FAIR:.0f} %, and {_BROAD:g} times. Poor: beyond that. A "
        f"judge that reaches less than {_JUDGE:g} on real images cannot tell.",
        tables=tuple(tables),
        charts=(beside("consistency", "Agreement of mask and image", [Panel("Dice", tuple(marks), (0, 1))]),),
        notes=(
            "The judge has learnt from the same subjects as the model, and the floor is of others. So generated images "
            "are on ground that it knows, which lifts its agreement with their masks above the floor.",
            "Intervals are from the 5th to the 95th percentile of a bootstrap: over images of the generated ones, over "
            "subjects of the real ones. The judge is one segmenter; how far others would differ is not in them.",
            "Images on which a label fills less than a five-hundredth do not count for it.",
        ),
    )


def _light(share: float, rims: list[float]) -> Light:
    if not 0 < share < float("inf"):
        return "unknown" if math.isnan(share) else "poor"
    agreement, sharpness = _either(share), max((_either(x) for x in rims), default=1.0)
    if agreement <= 1 / _GOOD and sharpness <= _RIMS:
        return "good"
    return "fair" if agreement <= 1 / _FAIR and sharpness <= _BROAD else "poor"


def _either(share: float) -> float:
    """How many times too large or too small."""
    return max(share, 1 / share) if share > 0 else float("inf")


def _read(share: float) -> str:
    if share > 1 / _GOOD:
        return "Its lesions are easier than real ones: the judge finds them more surely than those of new subjects."
    if share < _GOOD:
        return "Masks and images disagree more than in real ones."
    return "So its masks fit about as well as real ones."


def _rims_in_words(rims: list[tuple[str, float]]) -> str:
    if not rims:
        return ""
    name, times = max(rims, key=lambda one: _either(one[1]))
    if _either(times) <= _RIMS:
        return f" Outlines of masks show in the images about as in real ones ({name}: {figure(times)} times as sharp)."
    how = "as rings" if times > 1 else "too little"
    return f" Outlines of masks show {how} in {name}: {figure(times)} times as sharp as in real images."


def _mean(values: list[float]) -> float:
    known = [x for x in values if abs(x) < float("inf")]
    return sum(known) / len(known) if known else float("nan")
