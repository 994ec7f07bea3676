"""Trends in words, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_pgan.evaluation.report.charts import curve
from napari_pgan.evaluation.report.section import Chart, ReportRow, Section, Table, figure, span

TITLE = "Trends: where it got this far, and whether more would help"
_ALIKE = 1.25  # times another figure, up to which nothing is made of a difference
_STILL = 0.05  # by which the distance must fall in the last quarter for a training to be said to go on improving


def trends_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """The section of what `measure_trends` found."""
    stages, run = result["stages"], result["run"]
    charts = [_stages_chart(stages)]
    tables = [Table("Each size, held against real images of that size", tuple(_rows(stages, _size)))]
    sentences = [_of_stages(stages)]
    if run is not None:
        charts += _run_chart(run["distances"])
        sentences.append(_of_run(run["distances"]))
        if run["models"]:
            tables.append(Table("Each model that the run has kept", tuple(_rows(run["models"], _kept))))
    return Section(
        name="trends",
        title=TITLE,
        question="Does it get nearer to real images from size to size, and did it to the end of its training?",
        light="info",
        sentence=" ".join(sentences),
        rule="There is no good or bad in a trend. Distances fall when sets are larger, so compare them only with the "
        "floor beside them.",
        tables=tuple(tables),
        charts=tuple(charts),
        notes=(
            f"Sets of {result['images']} images, {result['halvings']} halvings of the subjects; intervals are from the "
            "5th to the 95th percentile over these. Likeness compares all images that there are: in larger sets a "
            "model's multiple of the floor comes out larger.",
            *(
                ()
                if result.get("crisp")
                else (
                    "Here labels of real images are soft at lower sizes and those of generated ones crisp, so the "
                    "smaller images are, the farther they look.",
                )
            ),
            "For the Fréchet distance, images of lower sizes are enlarged to the size that the encoder knows.",
            *(
                ()
                if run is None
                else (
                    "The curve is of the distances that the training noted itself, to its validation "
                    "subjects, at the size that it had then; a new size brings a jump.",
                )
            ),
        ),
    )


def _of_stages(stages: list[dict[str, Any]]) -> str:
    times = [stage["swd"]["value"] / max(stage["swd"]["floor"], 1e-9) for stage in stages]
    first, last = stages[0]["size"], stages[-1]["size"]
    if len(stages) == 1:
        return f"At {last}² its images are {figure(times[-1])} times as far from real ones as these from each other."
    change = times[-1] / max(times[0], 1e-9)
    how = "nearer to real ones than" if change < 1 / _ALIKE else "about as far from real ones as"
    how = "farther from real ones than" if change > _ALIKE else how
    return (
        f"Measured against the floor, its finest images are {how} its coarsest: {figure(times[-1])} times the floor at "
        f"{last}², {figure(times[0])} times at {first}² (SWD)."
    )


def _of_run(distances: list[dict[str, float]]) -> str:
    last = [row for row in distances if row["size"] == distances[-1]["size"]] if distances else []
    if len(last) < 4:
        return "The training was looked at too seldom at its last size to say more."
    best = min(last, key=lambda row: row["swd"])
    quarter = max(len(last) // 4, 1)
    before = min(row["swd"] for row in last[:-quarter])
    if best in last[-quarter:] and best["swd"] < (1 - _STILL) * before:
        return f"The distance was still falling at the end ({figure(before)} to {figure(best['swd'])}): train longer."
    now = last[-1]["swd"]
    if now > (1 + 2 * _STILL) * best["swd"]:
        return (
            f"It was best at {best['images']:,.0f} images ({figure(best['swd'])}) and has since got worse "
            f"({figure(now)}): take the best model, and train no longer."
        )
    return f"The distance has levelled off ({figure(best['swd'])} at best, {figure(now)} at the end)."


def _rows(found: list[dict[str, Any]], name: Any) -> list[ReportRow]:
    rows = []
    for one in found:
        for key, what, says in (
            ("swd", "SWD × 1000", "distance of small patches at every scale, labels included; smaller is better"),
            ("frechet", "Fréchet distance", "distance of features; smaller is better"),
        ):
            b = one[key]
            rows.append(
                ReportRow(
                    f"{name(one)}, {what}",
                    figure(b["value"]),
                    span(b["low"], b["high"]),
                    figure(b["floor"]),
                    span(b["floor_low"], b["floor_high"]),
                    says,
                )
            )
    return rows


def _size(one: Mapping[str, Any]) -> str:
    return f"{one['size']}²"


def _kept(one: Mapping[str, Any]) -> str:
    return f"{one['name']} at {one['images']:,} images"


def _stages_chart(stages: list[dict[str, Any]]) -> Chart:
    places = list(range(len(stages)))
    series = [
        (what, places, [one[key]["value"] / max(one[key]["floor"], 1e-9) for one in stages])
        for key, what in (("swd", "SWD"), ("frechet", "Fréchet distance"))
    ]
    return curve(
        "trends-sizes",
        "Distance from real images at each size, in multiples of the floor",
        series,
        "size of an image",
        "× floor (smaller is better)",
        (0, 1),
        [_size(one) for one in stages],
    )


def _run_chart(distances: list[dict[str, float]]) -> list[Chart]:
    if len(distances) < 2:
        return []
    sizes = sorted({row["size"] for row in distances})[-3:]
    series = []
    for size in reversed(sizes):
        rows = [row for row in distances if row["size"] == size]
        series.append((f"at {size:.0f}²", [row["images"] for row in rows], [row["swd"] for row in rows]))
    title = "Distance to validation subjects over the training, at its last sizes"
    return [curve("trends-training", title, series, "real images seen", "SWD × 1000 (smaller is better)")]
