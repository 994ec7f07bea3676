"""The report section of likeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_pgan.evaluation.likeness.descriptions import describe_metric
from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.split_half import WithBaseline
from napari_pgan.evaluation.report.charts import Mark, Panel, dot_chart
from napari_pgan.evaluation.report.section import Chart, ReportRow, Section, Table, format_number
from napari_pgan.evaluation.report.verdict import FAIR, GOOD, LEAST, SQUARES, decisive_metric, rating_of

TITLE = "Likeness: do generated images look real?"
_BETTER = {"lower": "Smaller is better.", "higher": "Larger is better.", "floor": "Equal to the baseline is best."}
_CHANNELS = {"joint": "all channels", "labels": "the labels"}
_SHORT = {
    "frechet": "the distance of features",
    "kernel": "the distance of features",
    "intensity": "how the labels look in the images",
    "precision": "the share of generated images that are close to real ones",
    "recall": "the share of real images that are close to generated ones",
    "density": "the density of real images around generated ones",
    "coverage": "the share of real images with a generated one nearby",
}
_FIDELITY = ("precision", "recall", "density", "coverage")


def likeness_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """Create the section from the result of `measure_likeness`."""
    likeness = Likeness.from_dict(result)
    overall = _overall(likeness)
    others = [one for one in likeness.figures if one.measure != "swd"]
    sizes = [one for one in likeness.figures if one.measure == "swd" and one is not overall]
    held = [one for one in (overall, *others) if one.held is not None]
    other_half = "the other half (baseline)"
    tables = [
        Table("Compared with one half of the subjects", _rows((overall, *others), "halves"), baseline=other_half),
        *([Table("Compared with unseen subjects", _rows(held, "held", False), baseline="training subjects")]
          if held else []),
        Table("By size of structure and channel", _rows(sizes, "halves"), baseline=other_half, folded=True),
    ]  # fmt: skip
    return Section(
        name="likeness",
        title=TITLE,
        question="How far are generated images from real ones, and are they as varied?",
        rating=rating_of(likeness),
        sentence=_sentence(likeness),
        rule=f"The worst metric decides, against half of all subjects and against unseen ones; MS-SSIM does not count, "
        f"and SWD counts by its mean over sizes. Good: every distance is at most {GOOD:g} times its baseline, and "
        f"every share or density at least half of it. Middling: {FAIR:g} times, and a quarter. Poor: worse. Fréchet "
        f"and kernel distance are squared, so their limits are {GOOD**2:g} and {FAIR**2:g} times the baseline. Sets of "
        f"fewer than {LEAST} images can show that a model is poor, but not that it is better: distances between small "
        "sets are large in any case, so every model is close to its baseline.",
        tables=tuple(tables),
        charts=tuple(_charts(likeness)),
        notes=_notes(likeness),
    )


def _overall(likeness: Likeness) -> Figure:
    """The sliced Wasserstein distance over all channels and sizes of structure."""
    means = [one for one in likeness.figures if one.measure == "swd" and one.level == "mean"]
    return next((one for one in means if one.channels == "joint"), means[0])


def _sentence(likeness: Likeness) -> str:
    overall, worst = _overall(likeness), decisive_metric(likeness)
    unseen = ""
    if overall.held is not None:
        times = format_number(_times(overall.held))
        unseen = f"; for unseen subjects, it is {times} times that of training subjects"
    sentence = (
        f"By small patches, the distance of generated images from real ones is {format_number(_times(overall.halves))} "
        f"times that between real images of different subjects{unseen}. The worst metric is {_describe(worst.figure)}: "
        f"{format_number(worst.values.value)}, with a baseline of {format_number(worst.values.baseline)}"
        f"{', against unseen subjects' if worst.unseen else ''}"
    )
    if worst.figure.measure in SQUARES:
        sentence += f" (squared; the distance is {format_number(worst.times)} times the baseline)"
    if rating_of(likeness) == "unknown":
        sentence = f"Cannot tell with sets of {min(likeness.images, likeness.swd_images)} images. {sentence}"
    return f"{sentence}."


def _describe(one: Figure) -> str:
    if one.measure == "swd":
        return f"the distance of patches of {_CHANNELS.get(one.channels, one.channels)} ({one.name})"
    return f"{_SHORT[one.measure]} ({one.name})"


def _times(b: WithBaseline) -> float:
    return b.value / max(b.baseline, 1e-9)


def _rows(figures: Sequence[Figure], which: str, explain: bool = True) -> tuple[ReportRow, ...]:
    rows = []
    for one in figures:
        b: WithBaseline = getattr(one, which)
        says = describe_metric(one.measure, one.channels, one.level).says if explain else ""
        rows.append(ReportRow.of(one.name, b, f"{says} {_BETTER[one.better]}".strip()))
    return tuple(rows)


def _charts(likeness: Likeness) -> list[Chart]:
    swd = [one for one in likeness.figures if one.measure == "swd"]
    overall = _overall(likeness).channels
    levels = [one for one in swd if one.channels == overall and one.level != "mean"]
    channels = [one for one in swd if one.channels != overall and one.level == "mean"]
    panels = [
        Panel("SWD × 1000 by size of structure", tuple(_mark(one.level.replace("x", "×"), one) for one in levels))
    ]
    if channels:
        panels.append(Panel("SWD × 1000 by channel", tuple(_mark(one.channels, one) for one in channels)))
    distances = [
        Panel(name, (_mark("all", likeness.figure(measure)),))
        for measure, name in (("frechet", "Fréchet distance"), ("kernel", "kernel distance × 1000"))
    ]
    marks = tuple(_mark(name, likeness.figure(name)) for name in _FIDELITY)
    return [
        dot_chart("likeness-swd", "Distance of patches (SWD), smaller is better", panels),
        dot_chart("likeness-distances", "Distance of features, smaller is better", distances),
        dot_chart("likeness-fidelity", "Fidelity and variety, larger is better",
                  [Panel("share, or density (larger is better)", marks)]),
    ]  # fmt: skip


def _mark(name: str, one: Figure) -> Mark:
    b = one.halves
    return Mark(name, b.value, b.low, b.high, b.baseline, b.baseline_low, b.baseline_high)


def _encoder(about: Mapping[str, Any]) -> str:
    sentence, images = str(about.get("sentence", "an encoder")), about.get("images")
    return sentence.replace(f" {images} ", f" {images:,} ") if isinstance(images, int) else sentence


def _notes(likeness: Likeness) -> tuple[str, ...]:
    fitted = any(one.measure == "intensity" for one in likeness.figures)
    labelled = any((one.measure, one.channels) == ("swd", "labels") for one in likeness.figures)
    return (
        f"Sets of {likeness.images:,} images ({likeness.swd_images:,} for SWD), generated and real in equal number; "
        f"the {likeness.subjects} subjects were split at random {likeness.halvings} times. Intervals are the 5th to "
        "95th percentile over these splits, which overlap.",
        *((f"For unseen subjects ({likeness.held_subjects}): sets of {likeness.held_images:,} images "
           f"({likeness.held_swd_images:,} for SWD), drawn at random three times. Intervals are over these draws of "
           "images, not over subjects.",) if likeness.held_images else ()),
        "Fewer images give a better verdict: all distances except the kernel distance grow, and those of model and "
        "baseline become more similar. So do fewer subjects, since their halves are farther apart.",
        *(("Whether labels are where the images show the structures was not measured here: most of these metrics "
           "hardly change if the segmentations of different images are exchanged. See consistency.",)
          if labelled and not fitted else ()),
        f"Features come from {_encoder(likeness.encoder)}.",
        f"Settings of MS-SSIM: {likeness.ssim}.",
    )  # fmt: skip
