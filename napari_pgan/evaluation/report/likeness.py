"""Likeness in words, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_pgan.evaluation.likeness.descriptions import words
from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.split_half import WithBaseline
from napari_pgan.evaluation.report.charts import Mark, Panel, beside
from napari_pgan.evaluation.report.section import Chart, ReportRow, Section, Table, figure, span
from napari_pgan.evaluation.report.verdict import FAIR, GOOD, LEAST, SQUARES, Verdict, light_of, worst_of

TITLE = "Likeness: do its images look real?"
_BETTER = {"lower": "Smaller is better.", "higher": "Larger is better.", "floor": "As at the floor is best."}
_CHANNELS = {"joint": "all channels", "labels": "the labels"}
_PLAIN = {
    "frechet": "how far they are as a network sees them",
    "kernel": "how far they are as a network sees them",
    "intensity": "how the labels look in the images",
    "precision": "the share of its images that lie among real ones",
    "recall": "the share of real images that lie among its own",
    "density": "how thickly real images lie around its own",
    "coverage": "the share of real images that one of its own comes close to",
}
_FIDELITY = ("precision", "recall", "density", "coverage")


def likeness_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """The section of what `measure_likeness` found."""
    found = Likeness.from_dict(result)
    whole = _whole(found)
    others = [one for one in found.figures if one.measure != "swd"]
    sizes = [one for one in found.figures if one.measure == "swd" and one is not whole]
    held = [one for one in (whole, *others) if one.held is not None]
    tables = [
        Table("Against one half of the subjects", _rows((whole, *others), "halves"), floor="the other half (floor)"),
        Table("By size of structure and channel", _rows(sizes, "halves"), floor="the other half (floor)", folded=True),
    ]
    if held:
        tables.insert(
            1,
            Table(
                "Against subjects that the model has not seen", _rows(held, "held", False), floor="training subjects"
            ),
        )
    return Section(
        name="likeness",
        title=TITLE,
        question="How far are generated images from real ones, and do they show as much variety?",
        light=light_of(found),
        sentence=_sentence(found),
        rule=f"Every figure counts but MS-SSIM, and of SWD the mean over sizes, against half of all subjects and "
        f"against unseen ones; the worst decides. Good: no distance is more than {GOOD:g} times its floor, and no "
        f"share or density less than a half of its floor. Middling: {FAIR:g} times, and a quarter. Poor: worse than "
        f"that. Fréchet and kernel distance are squares of distances, so they may be {GOOD**2:g} and {FAIR**2:g} times "
        f"their floor. Sets of fewer than {LEAST} images can show that a model is poor, but not that it is better: "
        "distances between small sets are large whatever they show, and every model comes near its floor.",
        tables=tuple(tables),
        charts=tuple(_charts(found)),
        notes=_notes(found),
    )


def _whole(found: Likeness) -> Figure:
    """The distance over all channels and sizes of structure."""
    means = [one for one in found.figures if one.measure == "swd" and one.level == "mean"]
    return next((one for one in means if one.channels == "joint"), means[0])


def _sentence(found: Likeness) -> str:
    whole, worst = _whole(found), worst_of(found)
    unseen = ""
    if whole.held is not None:
        unseen = f", and from unseen subjects {figure(_times(whole.held))} times as far as those of its training are"
    says = (
        f"Seen as small patches, its images are {figure(_times(whole.halves))} times as far from real ones as real "
        f"ones of different subjects are from each other{unseen}."
    )
    where = ", against unseen subjects" if worst.unseen else ""
    says += (
        f" Its worst figure is {_plain(worst.figure)}: {figure(worst.beside.value)} beside a floor of "
        f"{figure(worst.beside.floor)} of real images{where}{_square(worst)}."
    )
    if light_of(found) == "unknown":
        says = f"It cannot be told from sets of {min(found.images, found.swd_images)} images. {says}"
    return says


def _square(worst: Verdict) -> str:
    return (
        f"; it is a square, so they are {figure(worst.times)} times as far" if worst.figure.measure in SQUARES else ""
    )


def _plain(one: Figure) -> str:
    """A figure in words that need no table."""
    if one.measure == "swd":
        return f"the distance of patches of {_CHANNELS.get(one.channels, one.channels)} ({one.name})"
    return f"{_PLAIN[one.measure]} ({one.name})"


def _times(b: WithBaseline) -> float:
    return b.value / max(b.floor, 1e-9)


def _rows(figures: Sequence[Figure], which: str, in_full: bool = True) -> tuple[ReportRow, ...]:
    rows = []
    for one in figures:
        b: WithBaseline = getattr(one, which)
        rows.append(
            ReportRow(one.name, figure(b.value), span(b.low, b.high), figure(b.floor), span(b.floor_low, b.floor_high),
                f"{words(one.measure, one.channels, one.level).says if in_full else ''} {_BETTER[one.better]}".strip())
        )  # fmt: skip
    return tuple(rows)


def _charts(found: Likeness) -> list[Chart]:
    swd = [one for one in found.figures if one.measure == "swd"]
    whole = _whole(found).channels
    levels = [one for one in swd if one.channels == whole and one.level != "mean"]
    channels = [one for one in swd if one.channels != whole and one.level == "mean"]
    panels = [
        Panel("SWD × 1000 by size of structure", tuple(_mark(one.level.replace("x", "×"), one) for one in levels))
    ]
    if channels:
        panels.append(Panel("SWD × 1000 by channel", tuple(_mark(one.channels, one) for one in channels)))
    distances = [
        Panel(name, (_mark("all", found.figure(measure)),))
        for measure, name in (("frechet", "Fréchet distance"), ("kernel", "kernel distance × 1000"))
    ]
    shares = Panel("share, or density (larger is better)", tuple(_mark(name, found.figure(name)) for name in _FIDELITY))
    return [
        beside("likeness-swd", "Distance of patches (SWD), smaller is better", panels),
        beside("likeness-distances", "Distance of features, smaller is better", distances),
        beside("likeness-fidelity", "Fidelity and variety, larger is better", [shares]),
    ]


def _mark(name: str, one: Figure) -> Mark:
    b = one.halves
    return Mark(name, b.value, b.low, b.high, b.floor, b.floor_low, b.floor_high)


def _encoder(about: Mapping[str, Any]) -> str:
    sentence, images = str(about.get("sentence", "an encoder")), about.get("images")
    return sentence.replace(f" {images} ", f" {images:,} ") if isinstance(images, int) else sentence


def _notes(found: Likeness) -> tuple[str, ...]:
    fitted = any(one.measure == "intensity" for one in found.figures)
    labelled = any((one.measure, one.channels) == ("swd", "labels") for one in found.figures)
    return (
        f"Sets of {found.images:,} images ({found.swd_images:,} for SWD), as many generated as real; the "
        f"{found.subjects} subjects were parted {found.halvings} times. Intervals are from the 5th to the 95th "
        "percentile over these halvings, which overlap.",
        *((f"Against unseen subjects ({found.held_subjects}): sets of {found.held_images:,} images "
           f"({found.held_swd_images:,} for SWD), drawn at random three times. Intervals are over these draws of "
           "images, not over subjects.",) if found.held_images else ()),
        "Fewer images make a verdict kinder: all distances but the kernel distance grow, and those of model and floor "
        "draw together. So do fewer subjects, since their halves lie farther apart.",
        *(("Whether labels lie where the images show them was not measured here: nearly all of these figures stay as "
           "they are if the segmentations of different images are exchanged. Consistency asks that.",)
          if labelled and not fitted else ()),
        f"Features are of {_encoder(found.encoder)}.",
        f"MS-SSIM looks through {found.ssim}.",
    )  # fmt: skip
