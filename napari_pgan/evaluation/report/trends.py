"""The report section of trends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_pgan.evaluation.likeness.split_half import WithBaseline
from napari_pgan.evaluation.report.charts import curve
from napari_pgan.evaluation.report.section import Chart, ReportRow, Section, Table, format_number

TITLE = "Trends: likeness by image size and over training"
_ALIKE = 1.25  # ratio up to which two values count as equal
_IMPROVING = 0.05  # relative decrease in the last quarter that counts as improvement


def trends_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """Create the section from the result of `measure_trends`."""
    stages, run = result["stages"], result["run"]
    charts, sentences = [_stages_chart(stages)], [_stages_sentence(stages)]
    tables = [Table("By image size, compared with real images of that size", tuple(_rows(stages, _size)))]
    notes = [
        f"Sets of {result['images']} images, {result['halvings']} random splits of the subjects; intervals are the 5th "
        "to 95th percentile over these. Likeness compares all images: in larger sets a model's distance is a larger "
        "multiple of the baseline.",
        "For the Fréchet distance, smaller images are enlarged to the size of the encoder.",
    ]
    if not result.get("crisp"):
        notes.insert(
            1,
            "In this result, labels of real images are soft at smaller sizes and those of generated images are not, "
            "which increases the distance at smaller sizes.",
        )
    if run is not None:
        charts += _run_chart(run["distances"])
        sentences.append(_run_sentence(run["distances"]))
        if run["models"]:
            name = lambda one: f"{one['name']} at {one['images']:,} images"  # noqa: E731
            tables.append(Table("Stored models of the run", tuple(_rows(run["models"], name))))
        notes.append(
            "The curve shows distances recorded during training, to its validation subjects and at the current image "
            "size; it jumps when the size changes."
        )
    return Section(
        name="trends",
        title=TITLE,
        question="Do images get closer to real ones with each size, and until the end of training?",
        rating="info",
        sentence=" ".join(sentences),
        rule="Trends have no rating. Distances fall as sets get larger, so compare them only with their baseline.",
        tables=tuple(tables),
        charts=tuple(charts),
        notes=tuple(notes),
    )


def _stages_sentence(stages: list[dict[str, Any]]) -> str:
    times = [stage["swd"]["value"] / max(stage["swd"]["floor"], 1e-9) for stage in stages]
    first, last = stages[0]["size"], stages[-1]["size"]
    if len(stages) == 1:
        return f"At {last}², the distance from real images is {format_number(times[-1])} times the baseline (SWD)."
    change = times[-1] / max(times[0], 1e-9)
    how = "closer to real images than" if change < 1 / _ALIKE else "about as far from real images as"
    how = "farther from real images than" if change > _ALIKE else how
    return (
        f"Relative to the baseline, images at the finest size are {how} at the coarsest: {format_number(times[-1])} "
        f"times the baseline at {last}², {format_number(times[0])} times at {first}² (SWD)."
    )


def _run_sentence(distances: list[dict[str, float]]) -> str:
    last = [row for row in distances if row["size"] == distances[-1]["size"]] if distances else []
    if len(last) < 4:
        return "There are too few validation results at the last size to assess the end of training."
    best = min(last, key=lambda row: row["swd"])
    quarter = max(len(last) // 4, 1)
    before = min(row["swd"] for row in last[:-quarter])
    if best in last[-quarter:] and best["swd"] < (1 - _IMPROVING) * before:
        change = f"{format_number(before)} to {format_number(best['swd'])}"
        return f"The distance was still falling at the end of training ({change}): train longer."
    final = last[-1]["swd"]
    if final > (1 + 2 * _IMPROVING) * best["swd"]:
        return (
            f"The distance was lowest at {best['images']:,.0f} images ({format_number(best['swd'])}) and has increased "
            f"since ({format_number(final)}): use the best model; do not train longer."
        )
    return f"The distance has levelled off ({format_number(best['swd'])} at best, {format_number(final)} at the end)."


def _rows(results: list[dict[str, Any]], name: Callable[[Mapping[str, Any]], str]) -> list[ReportRow]:
    metrics = (
        ("swd", "SWD × 1000", "Distance of small patches, averaged over sizes of structure, including labels."),
        ("frechet", "Fréchet distance", "Distance of features."),
    )
    return [
        ReportRow.of(f"{name(one)}, {what}", WithBaseline.from_dict(one[key]), f"{says} Smaller is better.")
        for one in results
        for key, what, says in metrics
    ]


def _size(one: Mapping[str, Any]) -> str:
    return f"{one['size']}²"


def _stages_chart(stages: list[dict[str, Any]]) -> Chart:
    series = [
        (what, list(range(len(stages))), [one[key]["value"] / max(one[key]["floor"], 1e-9) for one in stages])
        for key, what in (("swd", "SWD"), ("frechet", "Fréchet distance"))
    ]
    return curve(
        "trends-sizes",
        "Distance from real images at each size, in multiples of the baseline",
        series,
        "image size",
        "× baseline (smaller is better)",
        (0, 1),
        [_size(one) for one in stages],
    )


def _run_chart(distances: list[dict[str, float]]) -> list[Chart]:
    if len(distances) < 2:
        return []
    series = []
    for size in sorted({row["size"] for row in distances}, reverse=True)[:3]:
        rows = [row for row in distances if row["size"] == size]
        series.append((f"at {size:.0f}²", [row["images"] for row in rows], [row["swd"] for row in rows]))
    title = "Distance to validation subjects during training, at the last sizes"
    return [curve("trends-training", title, series, "real images seen", "SWD × 1000 (smaller is better)")]
