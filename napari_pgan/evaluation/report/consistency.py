"""The report section of consistency."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from napari_pgan.evaluation.report.charts import Mark, Panel, dot_chart
from napari_pgan.evaluation.report.section import (
    Rating,
    ReportRow,
    Section,
    Table,
    finite_mean,
    format_interval,
    format_number,
    to_float,
)

TITLE = "Consistency: do masks match images?"
_GOOD, _FAIR = 0.9, 0.7  # Dice relative to the baseline, or the inverse
_RIMS, _BROAD = 1.5, 3.0  # sharpness relative to the baseline, or the inverse
_JUDGE = 0.4  # minimum Dice of the judge on real images


def consistency_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """Create the section from the result of `measure_consistency`."""
    rows = result["agreements"]
    labels = rows[:-1] if len(rows) > 1 else rows  # the last row is all labels together
    mine, real = (finite_mean(to_float(row[key]) for row in labels) for key in ("dice", "floor"))
    ratio = mine / real if real > 0 else float("nan")
    rims = [
        (row["modality"], to_float(row["generated"]) / to_float(row["real"]))
        for row in result["rims"]
        if to_float(row["generated"]) >= 0 and to_float(row["real"]) > 0
    ]
    keys = ("dice", "low", "high", "floor", "floor_low", "floor_high")
    marks = tuple(Mark(row["label"], *(to_float(row[key]) for key in keys)) for row in rows)
    tables = (
        Table(
            "Agreement of masks with a judge trained on real images (Dice)",
            tuple(
                ReportRow(row["label"], format_number(row["dice"]), format_interval(row["low"], row["high"]),
                    format_number(row["floor"]), format_interval(row["floor_low"], row["floor_high"]),
                    f"Over {row['images']:,} generated and {row['floor_images']:,} real images with the label. Equal "
                    "to the baseline is best: below it, mask and image disagree; above it, lesions are easier than "
                    "real ones.")
                for row in rows
            ),
            baseline="real images, held out (baseline)",
        ),
        Table(
            "Rims: sharpness of label borders",
            tuple(
                ReportRow(row["modality"], format_number(row["generated"]), baseline=format_number(row["real"]),
                    says="Fine detail on label borders, relative to elsewhere. Equal to the baseline is best; well "
                    "above it, outlines of the mask are visible in the image as rings.")
                for row in result["rims"]
            ),
        ),
    )  # fmt: skip
    return Section(
        name="consistency",
        title=TITLE,
        question="Would an expert on real images draw the same masks?",
        rating=_rating(ratio, [x for _, x in rims]) if real >= _JUDGE else "unknown",
        sentence=f"A segmenter trained on real images agrees with the generated masks with a Dice of "
        f"{format_number(mine)}, averaged over labels; for real images of unseen subjects, it is "
        f"{format_number(real)}. {_read(ratio)}{_rims_sentence(rims)}",
        rule=f"Good: Dice is between {100 * _GOOD:.0f} and {100 / _GOOD:.0f} % of the baseline, and rims are at most "
        f"{_RIMS:g} times as sharp as in real images in every modality, and at least 1/{_RIMS:g}. Middling: between "
        f"{100 * _FAIR:.0f} and {100 / _FAIR:.0f} %, and {_BROAD:g} times. Poor: worse. If the Dice of the judge on "
        f"real images is below {_JUDGE:g}, the result is inconclusive.",
        tables=tables,
        charts=(dot_chart("consistency", "Agreement of mask and image", [Panel("Dice", marks, (0, 1))]),),
        notes=(
            "The judge was trained on the same subjects as the model; the baseline is of other subjects. Generated "
            "images are therefore more familiar to the judge, which raises their agreement above the baseline.",
            "Intervals are the 5th to 95th percentile of a bootstrap: over images for generated images, over subjects "
            "for real ones. They do not include the variation between judges, since there is one judge.",
            "A label counts only in images of which it covers at least 1/500.",
        ),
    )


def _rating(ratio: float, rims: list[float]) -> Rating:
    if not 0 < ratio < float("inf"):
        return "unknown" if math.isnan(ratio) else "poor"
    agreement, sharpness = _deviation(ratio), max((_deviation(x) for x in rims), default=1.0)
    if agreement <= 1 / _GOOD and sharpness <= _RIMS:
        return "good"
    return "fair" if agreement <= 1 / _FAIR and sharpness <= _BROAD else "poor"


def _deviation(ratio: float) -> float:
    """Factor by which a ratio is too large or too small."""
    return max(ratio, 1 / ratio) if ratio > 0 else float("inf")


def _read(ratio: float) -> str:
    if ratio > 1 / _GOOD:
        return "Generated lesions are easier than real ones: the judge finds them more reliably than in new subjects."
    if ratio < _GOOD:
        return "Masks and images disagree more than in real images."
    return "Masks match the images about as well as in real images."


def _rims_sentence(rims: list[tuple[str, float]]) -> str:
    if not rims:
        return ""
    name, times = max(rims, key=lambda one: _deviation(one[1]))
    if _deviation(times) <= _RIMS:
        return f" Label borders are about as sharp as in real images ({name}: {format_number(times)} times)."
    how = "visible as rings" if times > 1 else "too soft"
    return f" Label borders are {how} in {name}: {format_number(times)} times as sharp as in real images."
