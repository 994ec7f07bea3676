"""Consistency in words, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_pgan.evaluation.report.charts import Mark, Panel, beside
from napari_pgan.evaluation.report.section import Light, Row, Section, Table, figure, number, span

TITLE = "Consistency: does the mask fit the image?"
_GOOD, _FAIR = 0.9, 0.7  # of the floor
_JUDGE = 0.4  # Dice on real pairs, below which the judge knows too little


def consistency_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """The section of what `measure_consistency` found."""
    rows = result["agreements"]
    labels = rows[:-1] if len(rows) > 1 else rows  # the last is all labels together
    mine, real = (_mean([number(row[key]) for row in labels]) for key in ("dice", "floor"))
    share = mine / real if real > 0 else float("nan")
    marks = [
        Mark(row["label"], *(number(row[k]) for k in ("dice", "low", "high", "floor", "floor_low", "floor_high")))
        for row in rows
    ]
    tables = [
        Table(
            "How far a judge of real images agrees with the masks (Dice)",
            tuple(
                Row(row["label"], figure(row["dice"]), span(row["low"], row["high"]), figure(row["floor"]),
                    span(row["floor_low"], row["floor_high"]),
                    f"Over {row['images']:,} generated and {row['floor_images']:,} real images that show it. As at the "
                    "floor is best: below, mask and image disagree; above, lesions are easier than in patients.")
                for row in rows
            ),
            floor="real pairs, held out (floor)",
        ),
        Table(
            "Rims: finer detail on borders of labels than elsewhere",
            tuple(
                Row(row["modality"], figure(row["generated"]), "", figure(row["real"]), "",
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
        light=_light(share) if real >= _JUDGE else "unknown",
        sentence=f"A segmenter that has learnt from real images agrees with the generated masks to a Dice of "
        f"{figure(mine)} on average over labels; with masks that people drew, on patients whom it has not seen, to "
        f"{figure(real)}.",
        rule=f"Good: at least {100 * _GOOD:.0f} % of the floor. Middling: at least {100 * _FAIR:.0f} %. A "
        f"judge that reaches less than {_JUDGE:g} on real images cannot tell.",
        tables=tuple(tables),
        charts=(beside("consistency", "Agreement of mask and image", [Panel("Dice", tuple(marks), (0, 1))]),),
        notes=("Images on which a label fills less than a five-hundredth do not count for it.",),
    )


def _light(share: float) -> Light:
    if not abs(share) < float("inf"):
        return "unknown"
    return "good" if share >= _GOOD else "fair" if share >= _FAIR else "poor"


def _mean(values: list[float]) -> float:
    known = [x for x in values if abs(x) < float("inf")]
    return sum(known) / len(known) if known else float("nan")
