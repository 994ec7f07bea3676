"""Charts of figures beside their floors, as SVG that follows the page's colours and as PNG.

Every series has a shape of its own beside its colour, and every chart comes with its content in words.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.evaluation.report.section import Chart, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"  # becomes the colour of the page's text
MODEL, FLOOR, OTHER = "#2a78c8", "#8b929c", "#c8641e"
_STYLE: Any = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-pgan",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Mark:
    """A figure beside its floor on a chart: value and interval of both; NaN where there is none."""

    name: str
    value: float
    low: float
    high: float
    floor: float = float("nan")
    floor_low: float = float("nan")
    floor_high: float = float("nan")

    def words(self) -> str:
        beside = f", real images {figure(self.floor)}" if np.isfinite(self.floor) else ""
        return f"{self.name}: model {figure(self.value)}{beside}"


@dataclass(frozen=True)
class Panel:
    """Marks that share an axis, whose label says the unit and which way is better."""

    label: str
    marks: tuple[Mark, ...]
    limits: tuple[float, float] | None = None


def beside(
    name: str, title: str, panels: Sequence[Panel], model: str = "this model", floor: str = "real images (floor)"
) -> Chart:
    """Dots of the model over bands of the floor, a row a figure, a column a panel."""
    with _styled():
        rows = max(len(panel.marks) for panel in panels)
        chart, all_axes = _figure(7.2, 0.9 + 0.42 * max(rows, 2), len(panels))
        for axes, panel in zip(all_axes, panels, strict=True):
            _panel(axes, panel, model, floor)
        handles, labels = all_axes[0].get_legend_handles_labels()
        chart.legend(handles, labels, loc="outside upper left", ncols=3)
        words = "; ".join(f"{p.label}: {', '.join(mark.words() for mark in p.marks)}" for p in panels)
        return _chart(chart, name, title, f"{title}. {words}.")


def histogram(
    name: str,
    title: str,
    series: Sequence[tuple[str, np.ndarray]],
    edges: np.ndarray,
    label: str,
    lines: Sequence[tuple[str, float]] = (),
) -> Chart:
    """How often a figure is how large, for each of some sets, as shares; `series` gives counts between `edges`."""
    looks = [(MODEL, "-", "////"), (FLOOR, "--", ""), (OTHER, ":", "....")]
    with _styled():
        chart, (axes,) = _figure(7.2, 3.2, 1)
        for (what, counts), (color, dash, hatch) in zip(series, looks, strict=False):
            shares = np.asarray(counts, float) / max(np.sum(counts), 1)
            axes.stairs(shares, edges, fill=True, color=color, alpha=0.25, hatch=hatch, linewidth=0)
            axes.stairs(shares, edges, color=color, linestyle=dash, linewidth=1.8, label=what)
        for what, at in lines:
            axes.axvline(at, color=_INK, linewidth=1.2, linestyle="-.")
            axes.annotate(what, (at, 1), xycoords=("data", "axes fraction"), rotation=90, fontsize=8,
                          xytext=(3, -3), textcoords="offset points", va="top")  # fmt: skip
        axes.set_xlabel(label)
        axes.set_ylabel("share of images")
        chart.legend(loc="outside upper left", ncols=3)
        middles = (np.asarray(edges)[1:] + np.asarray(edges)[:-1]) / 2
        words = "; ".join(f"{what}: mean {figure(_mean(middles, counts))}" for what, counts in series)
        drawn = "".join(f"; {what} at {figure(at)}" for what, at in lines)
        return _chart(chart, name, title, f"{title}. {label}. {words}{drawn}.")


def curve(
    name: str,
    title: str,
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    floor: tuple[float, float] | None = None,
    ticks: Sequence[str] | None = None,
) -> Chart:
    """Lines of (name, x, y), over the floor's band where there is one; `ticks` name the places 0, 1, … of x."""
    looks = [(MODEL, "-", "o"), (OTHER, "--", "s"), ("#3a8f5c", ":", "^")]
    with _styled():
        chart, (axes,) = _figure(7.2, 3.2, 1)
        if floor is not None:
            axes.axhspan(*floor, color=FLOOR, alpha=0.35, linewidth=0, label="real images (floor)")
        for (what, x, y), (color, dash, marker) in zip(series, looks, strict=False):
            size = 4 if len(x) < 40 else 2.5
            axes.plot(x, y, color=color, linestyle=dash, marker=marker, markersize=size, linewidth=1.6, label=what)
        axes.set_xlabel(xlabel)
        axes.set_ylabel(ylabel)
        axes.set_ylim(bottom=0)
        if ticks is not None:
            axes.set_xticks(range(len(ticks)), ticks)
        elif series:
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        chart.legend(loc="outside upper left", ncols=3)
        words = "; ".join(f"{what}: from {figure(y[0])} to {figure(y[-1])}" for what, _, y in series if len(y))
        band = f"; real images {figure(floor[0])} to {figure(floor[1])}" if floor else ""
        return _chart(chart, name, title, f"{title}. {ylabel} against {xlabel}. {words}{band}.")


def _panel(axes: Axes, panel: Panel, model: str, floor: str) -> None:
    places = np.arange(len(panel.marks))[::-1]
    for place, mark in zip(places, panel.marks, strict=True):
        first = place == len(panel.marks) - 1
        if np.isfinite(mark.floor):
            low, high = (mark.floor_low, mark.floor_high) if np.isfinite(mark.floor_low) else (mark.floor, mark.floor)
            axes.barh(place, high - low, left=low, height=0.5, color=FLOOR, alpha=0.45)
            axes.plot([mark.floor] * 2, [place - 0.25, place + 0.25], color=FLOOR, linewidth=3,
                      label=floor if first else None)  # fmt: skip
        if np.isfinite(mark.low) and np.isfinite(mark.high):
            axes.plot([mark.low, mark.high], [place, place], color=MODEL, linewidth=1.6)
        axes.plot(mark.value, place, marker="D", markersize=6.5, color=MODEL, linestyle="",
                  label=model if first else None)  # fmt: skip
    axes.set_yticks(places, [mark.name for mark in panel.marks])
    axes.set_ylim(-0.6, len(panel.marks) - 0.4)
    axes.set_xlabel(panel.label)
    if panel.limits:
        axes.set_xlim(*panel.limits)
    else:
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.grid(axis="x", color=FLOOR, alpha=0.25)
    axes.set_axisbelow(True)


def _mean(middles: np.ndarray, counts: np.ndarray) -> float:
    counts = np.asarray(counts, float)
    return float((middles * counts).sum() / max(counts.sum(), 1))


def _styled() -> Any:
    import matplotlib as mpl

    return mpl.rc_context(_STYLE)


def _figure(width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chart = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(chart)
    return chart, list(chart.subplots(1, columns, squeeze=False)[0])


def _chart(chart: Figure, name: str, title: str, alt: str) -> Chart:
    png, svg = io.BytesIO(), io.StringIO()
    chart.savefig(png, format="png", dpi=160, facecolor="white", metadata={"Description": alt, "Software": None})
    chart.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    return Chart(name, title, alt, _inline(svg.getvalue(), name, alt), png.getvalue())


def _inline(svg: str, name: str, alt: str) -> str:
    """The SVG as part of a page: no prolog, no metadata, names of its own, the page's ink, and its content in words."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href|href)="#', rf'\1="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace(_INK, "currentColor")
    words = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{words}">{rest}'
