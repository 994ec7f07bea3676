"""The report section of use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from napari_pgan.evaluation.report.charts import Mark, Panel, curve, dot_chart
from napari_pgan.evaluation.report.section import (
    Chart,
    Rating,
    ReportRow,
    Section,
    Table,
    finite_mean,
    format_interval,
    format_number,
    to_float,
)
from napari_pgan.evaluation.segmentation.use import by_model

TITLE = "Use: can a segmenter learn from generated images?"
ALL = "all labels"
_GOOD, _FAIR = 0.85, 0.6  # Dice relative to training on real images
_FAR = 2.0  # maximum Hausdorff distance for a good rating, relative to training on real images
_LEAST = 0.3  # minimum Dice of training on real images
_SOURCES = {"synthetic": "generated images only", "both": "both together", "real": "real images only"}

_Rows = list[Mapping[str, Any]]


def use_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """Create the section from the result of `measure_use`."""
    models, ratios = _models(result["scores"]), _models(result["ratios"])[0]
    scores, ratio, both = models[0], _ratio(ratios, "synthetic"), _ratio(ratios, "both")
    tables = [_ratio_table(ratios), _dice_table(scores), _hausdorff_table(scores, result["unit"])]
    charts = [_dice_chart(scores)]
    if len(models) > 1:
        tables.append(_low_data_table(models))
        charts.append(_low_data_chart(models))
    value, low = to_float(ratio["value"]), to_float(ratio["low"])
    union, outline = _union_ratio(scores), _worst_outline(scores)
    real_dice = finite_mean(to_float(_of(scores, "real", x)["dice"]) for x in _labels(scores) if x != ALL)
    sentence = (
        f"A segmenter trained on generated images reaches {100 * value:.0f} % of the Dice of one trained on real "
        f"images ({_percent_interval(ratio)} %), averaged over labels"
        f"{'' if union is None else f', and {100 * union:.0f} % for all labels together'}, on {result['tested']} "
        f"subjects that neither it nor the model has seen; with both kinds of images, "
        f"{100 * to_float(both['value']):.0f} %."
    )
    if outline is not None:
        sentence += (
            f" The least accurate outlines ({outline.label}) are off by {format_number(outline.distance)} "
            f"{result['unit']}, compared with {format_number(outline.real)} {result['unit']} after training on real "
            "images (95 % Hausdorff distance)."
        )
    return Section(
        name="use",
        title=TITLE,
        question="How well does a segmenter trained on generated images find lesions in new subjects?",
        rating=_rating(value, low, union, outline) if real_dice >= _LEAST else "unknown",
        sentence=sentence,
        rule=f"All limits are relative to training on real images. Good: the Dice is at least {100 * _GOOD:.0f} %, "
        "averaged over labels, also at the lower end of its interval, and for all labels together; and the Hausdorff "
        f"distance is at most {_FAR:g} times as large for every label. Middling: the Dice is at least "
        f"{100 * _FAIR:.0f} %. Poor: less. Published results on brain tumours are 80 to 90 %. "
        f"If training on real images gives a Dice below {_LEAST:g}, the result is inconclusive.",
        tables=tuple(tables),
        charts=tuple(charts),
        notes=(
            f"{len(result['seeds'])} segmenters per source, with different seeds, trained for {result['steps']:,} "
            "steps each.",
            "Dice is 1 for a perfect segmentation and 0 for none. Intervals are the 5th to 95th percentile of a "
            "bootstrap over test subjects; they do not include the variation between seeds.",
        ),
    )


class _Outline(NamedTuple):
    """Hausdorff distance of a label after training on generated and on real images."""

    label: str
    distance: float
    real: float


def _rating(value: float, low: float, union: float | None, outline: _Outline | None) -> Rating:
    ratio = value if union is None else min(value, union)
    if not math.isfinite(ratio):
        return "unknown"
    far = outline is not None and outline.distance > _FAR * outline.real
    if ratio >= _GOOD and low >= _GOOD and not far:
        return "good"
    return "fair" if ratio >= _FAIR else "poor"


def _union_ratio(scores: _Rows) -> float | None:
    """Relative Dice for all labels together; None if there is only one label."""
    if ALL not in _labels(scores):
        return None
    mine, real = (to_float(_of(scores, source, ALL)["dice"]) for source in ("synthetic", "real"))
    return mine / real if real > 0 else float("nan")


def _worst_outline(scores: _Rows) -> _Outline | None:
    """The label with the largest relative Hausdorff distance; None if no label has both distances."""
    outlines = []
    for label in _labels(scores):
        mine, real = (to_float(_of(scores, source, label)["hausdorff"]) for source in ("synthetic", "real"))
        if mine < float("inf") and 0 < real < float("inf"):
            outlines.append(_Outline(label, mine, real))
    return max(outlines, key=lambda one: one.distance / one.real, default=None)


def _models(rows: _Rows) -> list[_Rows]:
    """Group rows by model, the evaluated model first."""
    indexed = by_model(rows)
    return [[row for row in indexed if row["model"] == i] for i in sorted({row["model"] for row in indexed})]


def _ratio(ratios: _Rows, source: str) -> Mapping[str, Any]:
    return next(row for row in ratios if row["source"] == source)


def _of(scores: _Rows, source: str, label: str) -> Mapping[str, Any]:
    return next(row for row in scores if (row["source"], row["label"]) == (source, label))


def _labels(scores: _Rows) -> list[str]:
    return list(dict.fromkeys(row["label"] for row in scores))


def _last_label(scores: _Rows) -> str:
    return ALL if ALL in _labels(scores) else _labels(scores)[-1]


def _table(title: str, rows: list[ReportRow], folded: bool = False) -> Table:
    return Table(title, tuple(rows), "trained on …", "real images only", folded)


def _dice_table(scores: _Rows) -> Table:
    rows = []
    for label in _labels(scores):
        for source in ("synthetic", "both"):
            one = _of(scores, source, label)
            says = f"Overlap with the reference, over {one['tested']} subjects. Larger is better."
            rows.append(_dice_row(f"{label}: {_SOURCES[source]}", one, _of(scores, "real", label), says))
    return _table("Dice on unseen subjects", rows, folded=True)


def _dice_row(name: str, one: Mapping[str, Any], real: Mapping[str, Any], says: str) -> ReportRow:
    interval, real_interval = (format_interval(x["low"], x["high"]) for x in (one, real))
    return ReportRow(name, format_number(one["dice"]), interval, format_number(real["dice"]), real_interval, says)


def _hausdorff_table(scores: _Rows, unit: str) -> Table:
    rows = []
    for label in _labels(scores):
        real = _of(scores, "real", label)
        for source in ("synthetic", "both"):
            one = _of(scores, source, label)
            says = "Distance between outlines, except for the worst 5 %. Smaller is better."
            model, baseline = format_number(one["hausdorff"]), format_number(real["hausdorff"])
            rows.append(ReportRow(f"{label}: {_SOURCES[source]}", model, _missed(one), baseline, _missed(real), says))
    return _table(f"95 % Hausdorff distance in {unit}, median", rows)


def _missed(one: Mapping[str, Any]) -> str:
    share = to_float(one["missed"])
    return f"missed in {format_number(100 * share)} %" if share > 0 else ""


def _ratio_table(ratios: _Rows) -> Table:
    says = "Mean Dice over labels, relative to training on real images. Larger is better."
    rows = []
    for source in ("synthetic", "both"):
        one = _ratio(ratios, source)
        value = f"{100 * to_float(one['value']):.0f} %"
        rows.append(ReportRow(_SOURCES[source].capitalize(), value, _percent_interval(one), "100 %", says=says))
    return _table("Dice relative to training on real images", rows)


def _percent_interval(ratio: Mapping[str, Any]) -> str:
    return format_interval(100 * to_float(ratio["low"]), 100 * to_float(ratio["high"]))


def _low_data_table(models: list[_Rows]) -> Table:
    rows = []
    for scores in sorted(models, key=_count):
        count, label, model = _count(scores), _last_label(scores), scores[0]["model"]
        name = f"{count} subjects"
        if sum(_count(other) == count for other in models) > 1:
            name += f", model {model} of --low-data" if model else ", this model"
        for source in ("synthetic", "both"):
            says = f"Dice of {label} with {count} training subjects of model and segmenter. Larger is better."
            one, real = _of(scores, source, label), _of(scores, "real", label)
            rows.append(_dice_row(f"{name}: {_SOURCES[source]}", one, real, says))
    return _table("With few subjects", rows)


def _count(scores: _Rows) -> int:
    return int(scores[0]["subjects"])


def _dice_chart(scores: _Rows) -> Chart:
    panels = []
    for source in ("synthetic", "both"):
        marks = []
        for label in _labels(scores):
            pair = _of(scores, source, label), _of(scores, "real", label)
            marks.append(Mark(label, *(to_float(x[k]) for x in pair for k in ("dice", "low", "high"))))
        panels.append(Panel(f"Dice, trained on {_SOURCES[source]}", tuple(marks), (0, 1)))
    title = "Dice of segmenters on unseen subjects, larger is better"
    return dot_chart("use-dice", title, panels, "as labelled below", "real images only")


def _low_data_chart(models: list[_Rows]) -> Chart:
    label = _last_label(models[0])
    ordered, series = sorted(models, key=_count), []
    counts = [_count(scores) for scores in ordered]
    for source in ("real", "synthetic", "both"):
        values = [to_float(_of(scores, source, label)["dice"]) for scores in ordered]
        series.append((_SOURCES[source], counts, values))
    title = f"Dice of {label} by number of training subjects"
    return curve("use-few", title, series, "subjects", "Dice (larger is better)")
