"""Use in words, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_pgan.evaluation.report.charts import Mark, Panel, beside, curve
from napari_pgan.evaluation.report.section import Chart, Light, ReportRow, Section, Table, figure, number, span
from napari_pgan.evaluation.segmentation.use import by_model

TITLE = "Use: can one learn from its images?"
ALL = "all labels"
_GOOD, _FAIR = 0.85, 0.6  # of the real-trained Dice
_FAR = 2.0  # times the real-trained Hausdorff distance, beyond which it is not called good
_TAUGHT = 0.3  # Dice of the real-trained, below which the comparison says nothing
_SOURCES = {"synthetic": "generated images alone", "both": "both together", "real": "real images alone"}

_Rows = list[Mapping[str, Any]]


def use_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """The section of what `measure_use` found."""
    every, ratios = _models(result["scores"]), _models(result["ratios"])[0]
    scores, ratio = every[0], _ratio(ratios, "synthetic")
    tables = [_shares(ratios), _dice(scores), _hausdorff(scores, result["unit"])]
    charts = [_chart(scores)]
    if len(every) > 1:
        tables.append(_few(every))
        charts.append(_curve(every))
    value, least = number(ratio["value"]), number(ratio["low"])
    whole, off = _whole(scores), _farthest(scores)
    both = _ratio(ratios, "both")
    return Section(
        name="use",
        title=TITLE,
        question="How well does a segmenter find lesions in new subjects if it has learnt from generated images?",
        light=_light(value, least, whole, off) if _reference(scores) >= _TAUGHT else "unknown",
        sentence=f"A segmenter that has seen generated images alone reaches {100 * value:.0f} % of the Dice of one "
        f"that has seen the real ones ({span(_hundred(ratio['low']), _hundred(ratio['high']))} %), averaged over "
        f"labels{'' if whole is None else f', and {100 * whole:.0f} % for all labels together'}, on "
        f"{result['tested']} subjects whom neither it nor the model has seen; with both kinds of images, "
        f"{100 * number(both['value']):.0f} %.{_off_by(off, result['unit'])}",
        rule=f"Good: at least {100 * _GOOD:.0f} % of the real-trained Dice on average over labels, at the lower end of "
        f"its interval, too, and for all labels together; and no label's Hausdorff distance more than {_FAR:g} times "
        f"the real-trained one's. Middling: at least {100 * _FAIR:.0f} % of the Dice. Poor: less. Published work on "
        "brain tumours has 80 to 90 %. It cannot be told where real images teach a Dice below "
        f"{_TAUGHT:g}.",
        tables=tuple(tables),
        charts=tuple(charts),
        notes=(
            f"Each source: {len(result['seeds'])} segmenters of as many seeds, each trained for {result['steps']:,} "
            "steps whatever it learns from.",
            "Dice is 1 for a perfect segmentation and 0 for none. Intervals are from the 5th to the 95th percentile of "
            "a bootstrap over test subjects: how far segmenters of other seeds would differ is not in them.",
        ),
    )


@dataclass(frozen=True)
class _Off:
    """The label whose outlines the generated-trained segmenter misses farthest, beside the real-trained one."""

    label: str
    distance: float
    real: float


def _light(value: float, least: float, whole: float | None, off: _Off | None) -> Light:
    share = value if whole is None else min(value, whole)
    if not abs(share) < float("inf"):
        return "unknown"
    far = off is not None and off.distance > _FAR * off.real
    if share >= _GOOD and least >= _GOOD and not far:
        return "good"
    return "fair" if share >= _FAIR else "poor"


def _whole(scores: _Rows) -> float | None:
    """The share of the real-trained Dice for all labels together; None where there is one label only."""
    if ALL not in _labels(scores):
        return None
    mine, real = (number(_of(scores, source, ALL)["dice"]) for source in ("synthetic", "real"))
    return mine / real if real > 0 else float("nan")


def _farthest(scores: _Rows) -> _Off | None:
    """None where no label has both distances, or the real-trained segmenter is never off."""
    every = []
    for label in _labels(scores):
        mine, real = (number(_of(scores, source, label)["hausdorff"]) for source in ("synthetic", "real"))
        if mine < float("inf") and 0 < real < float("inf"):
            every.append(_Off(label, mine, real))
    return max(every, key=lambda off: off.distance / off.real, default=None)


def _off_by(off: _Off | None, unit: str) -> str:
    if off is None:
        return ""
    return (
        f" Where it does worst by outlines ({off.label}), they are {figure(off.distance)} {unit} off, beside "
        f"{figure(off.real)} {unit} if real images taught it (95 % Hausdorff distance)."
    )


def _reference(scores: _Rows) -> float:
    """The Dice of the real-trained, averaged over labels."""
    each = [number(_of(scores, "real", label)["dice"]) for label in _labels(scores) if label != ALL]
    known = [x for x in each if abs(x) < float("inf")]
    return sum(known) / len(known) if known else 0.0


def _models(rows: _Rows) -> list[_Rows]:
    """The rows of each model, that which is measured first."""
    told = by_model(rows)
    return [[row for row in told if row["model"] == i] for i in sorted({row["model"] for row in told})]


def _ratio(ratios: _Rows, source: str) -> Mapping[str, Any]:
    return next(row for row in ratios if row["source"] == source)


def _of(scores: _Rows, source: str, label: str) -> Mapping[str, Any]:
    return next(row for row in scores if (row["source"], row["label"]) == (source, label))


def _labels(scores: _Rows) -> list[str]:
    return list(dict.fromkeys(row["label"] for row in scores))


def _dice(scores: _Rows) -> Table:
    rows = []
    for label in _labels(scores):
        real = _of(scores, "real", label)
        for source in ("synthetic", "both"):
            one = _of(scores, source, label)
            told = f"Overlap with the reference, over {one['tested']} subjects. Larger is better."
            rows.append(_dice_row(f"{label}: {_SOURCES[source]}", one, real, told))
    return Table("Dice on unseen subjects", tuple(rows), "trained on …", "real images alone", folded=True)


def _dice_row(name: str, one: Mapping[str, Any], real: Mapping[str, Any], told: str) -> ReportRow:
    about, floor = (span(x["low"], x["high"]) for x in (one, real))
    return ReportRow(name, figure(one["dice"]), about, figure(real["dice"]), floor, told)


def _hausdorff(scores: _Rows, unit: str) -> Table:
    rows = []
    for label in _labels(scores):
        real = _of(scores, "real", label)
        for source in ("synthetic", "both"):
            one = _of(scores, source, label)
            rows.append(
                ReportRow(
                    f"{label}: {_SOURCES[source]}",
                    figure(one["hausdorff"]),
                    _missed(one),
                    figure(real["hausdorff"]),
                    _missed(real),
                    "How far apart the outlines are, but for the worst 5 %. Smaller is better.",
                )
            )
    return Table(f"95 % Hausdorff distance in {unit}, median", tuple(rows), "trained on …", "real images alone")


def _missed(one: Mapping[str, Any]) -> str:
    share = number(one["missed"])
    return f"missed in {figure(100 * share)} %" if share > 0 else ""


def _shares(ratios: _Rows) -> Table:
    rows = [
        ReportRow(
            _SOURCES[source].capitalize(),
            f"{100 * number(one['value']):.0f} %",
            span(_hundred(one["low"]), _hundred(one["high"])),
            "100 %",
            "",
            "Mean Dice over labels as a share of the real-trained one's. Larger is better.",
        )
        for source in ("synthetic", "both")
        for one in (_ratio(ratios, source),)
    ]
    return Table("Share of the real-trained Dice", tuple(rows), "trained on …", "real images alone")


def _hundred(share: float | None) -> float:
    return 100 * number(share)


def _few(every: list[_Rows]) -> Table:
    rows = []
    for some in sorted(every, key=_count):
        count = _count(some)
        alone = sum(_count(other) == count for other in every) == 1
        name = f"{count} subjects" + ("" if alone else f", {_called(some[0]['model'])}")
        label = ALL if ALL in _labels(some) else _labels(some)[-1]
        real = _of(some, "real", label)
        for source in ("synthetic", "both"):
            told = f"Dice of {label}, where model and segmenter know {count} subjects. Larger is better."
            rows.append(_dice_row(f"{name}: {_SOURCES[source]}", _of(some, source, label), real, told))
    return Table("With few subjects", tuple(rows), "trained on …", "real images alone")


def _count(scores: _Rows) -> int:
    return int(scores[0]["subjects"])


def _called(model: int) -> str:
    return f"model {model} of --low-data" if model else "this model"


def _chart(scores: _Rows) -> Chart:
    panels = []
    for source in ("synthetic", "both"):
        marks = []
        for label in _labels(scores):
            one, real = _of(scores, source, label), _of(scores, "real", label)
            values = [number(x[k]) for x in (one, real) for k in ("dice", "low", "high")]
            marks.append(Mark(label, *values))
        panels.append(Panel(f"Dice, trained on {_SOURCES[source]}", tuple(marks), (0, 1)))
    title = "Dice of segmenters on unseen subjects, larger is better"
    return beside("use-dice", title, panels, "as named below", "real images alone")


def _curve(every: list[_Rows]) -> Chart:
    label = ALL if ALL in _labels(every[0]) else _labels(every[0])[-1]
    ordered, series = sorted(every, key=_count), []
    counts = [_count(scores) for scores in ordered]
    for source in ("real", "synthetic", "both"):
        rows = [_of(scores, source, label) for scores in ordered]
        series.append((_SOURCES[source], counts, [number(row["dice"]) for row in rows]))
    title = f"Dice of {label} by how many subjects model and segmenter know"
    return curve("use-few", title, series, "subjects", "Dice (larger is better)")
