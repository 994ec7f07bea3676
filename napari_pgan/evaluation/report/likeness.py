"""Likeness in words, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.halves import Beside
from napari_pgan.evaluation.report.charts import Mark, Panel, beside
from napari_pgan.evaluation.report.section import Chart, Light, Row, Section, Table, figure, span

TITLE = "Likeness: do its images look like patients'?"
_GOOD, _FAIR = 2.0, 4.0  # times the floor of the sliced Wasserstein distance
_COVERED, _HARDLY = 0.5, 0.2  # of the floor's coverage, below which it is not called good, or middling
_BETTER = {"lower": "Smaller is better.", "higher": "Larger is better.", "floor": "As at the floor is best."}
_FIDELITY = ("precision", "recall", "density", "coverage")


def likeness_section(result: Mapping[str, Any], about: Mapping[str, Any]) -> Section:
    """The section of what `measure_likeness` found."""
    found = Likeness.from_dict(result)
    whole = _whole(found)
    times, covered = _times(whole.halves), _share(found.figure("coverage").halves)
    unseen = None if whole.held is None else _times(whole.held)
    features = [one for one in found.figures if one.measure != "swd"]
    sizes = [one for one in found.figures if one.measure == "swd" and one is not whole]
    held = [one for one in (whole, *features) if one.held is not None]
    sentence = (
        f"Its images are {figure(times)} times as far from real ones as real ones of different patients are from each "
        f"other ({whole.name}: {figure(whole.halves.value)} beside a floor of {figure(whole.halves.floor)}), and come "
        f"close to {_percent(found.figure('coverage').halves.value)} of real images, where other real ones come close "
        f"to {_percent(found.figure('coverage').halves.floor)}."
    )
    if unseen is not None:
        sentence += (
            f" From patients whom the model has not seen they are {figure(unseen)} times as far as those of its "
            "training are."
        )
    tables = [
        Table("Against one half of the subjects", _rows((whole, *features), "halves"), floor="the other half (floor)"),
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
        light=_light(max(times, unseen or 0.0), covered),
        sentence=sentence,
        rule=f"Good: a distance (SWD) of at most {_GOOD:g} times the floor, and at least {100 * _COVERED:.0f} % of the "
        f"floor's coverage. Middling: at most {_FAIR:g} times the floor, and {100 * _HARDLY:.0f} % of its coverage. "
        "Poor: worse than that. The worse of two distances counts: to half of all subjects, and to unseen ones.",
        tables=tuple(tables),
        charts=tuple(_charts(found)),
        notes=_notes(found),
    )


def _whole(found: Likeness) -> Figure:
    """The distance over all channels and sizes of structure."""
    means = [one for one in found.figures if one.measure == "swd" and one.level == "mean"]
    return next((one for one in means if one.channels == "joint"), means[0])


def _light(times: float, covered: float) -> Light:
    if times <= _GOOD and covered >= _COVERED:
        return "good"
    return "fair" if times <= _FAIR and covered >= _HARDLY else "poor"


def _times(b: Beside) -> float:
    return b.value / max(b.floor, 1e-9)


def _share(b: Beside) -> float:
    return b.value / max(b.floor, 1e-9)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _rows(figures: Sequence[Figure], which: str, in_full: bool = True) -> tuple[Row, ...]:
    rows = []
    for one in figures:
        b: Beside = getattr(one, which)
        rows.append(
            Row(one.name, figure(b.value), span(b.low, b.high), figure(b.floor), span(b.floor_low, b.floor_high),
                f"{one.says} {_BETTER[one.better]}" if in_full else _BETTER[one.better])
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


def _notes(found: Likeness) -> tuple[str, ...]:
    return (
        f"Sets of {found.images:,} images ({found.swd_images:,} for SWD), as many generated as real; the "
        f"{found.subjects} subjects were parted {found.halvings} times.",
        *((f"Against held-out subjects ({found.held_subjects}): sets of {found.held_images:,} images "
           f"({found.held_swd_images:,} for SWD).",) if found.held_images else ()),
        f"Features are of {found.encoder.get('sentence', 'an encoder')}.",
        f"MS-SSIM looks through {found.ssim}.",
    )  # fmt: skip
