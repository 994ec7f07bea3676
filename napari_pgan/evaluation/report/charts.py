"""Charts of metrics with their baseline, as SVG in the colours of the page and as PNG.

Series differ in shape as well as colour, and every chart has a text alternative.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.evaluation.report.section import Chart, format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"  # replaced by the text colour of the page
MODEL, BASELINE, OTHER = "#2a78c8", "#8b929c", "#c8641e"
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
    """A metric and its baseline, each with an interval; NaN if there is none."""

    name: str
    value: float
    low: float
    high: float
    baseline: float = float("nan")
    baseline_low: float = float("nan")
    baseline_high: float = float("nan")

    def __str__(self) -> str:
        baseline = f", real images {format_number(self.baseline)}" if np.isfinite(self.baseline) else ""
        return f"{self.name}: model {format_number(self.value)}{baseline}"


@dataclass(frozen=True)
class Panel:
    """Marks on one axis; its label names the unit and which direction is better."""

    label: str
    marks: tuple[Mark, ...]
    limits: tuple[float, float] | None = None


def dot_chart(
    name: str, title: str, panels: Sequence[Panel], model: str = "this model", baseline: str = "real images (baseline)"
) -> Chart:
    """Draw values as dots over bands of the baseline, one row per metric and one column per panel."""
    with _styled():
        rows = max(len(panel.marks) for panel in panels)
        chart, all_axes = _figure(7.2, 0.9 + 0.42 * max(rows, 2), len(panels))
        for axes, panel in zip(all_axes, panels, strict=True):
            _panel(axes, panel, model, baseline)
        handles, labels = all_axes[0].get_legend_handles_labels()
        chart.legend(handles, labels, loc="outside upper left", ncols=3)
        text = "; ".join(f"{p.label}: {', '.join(map(str, p.marks))}" for p in panels)
        return _chart(chart, name, title, f"{title}. {text}.")


def histogram(
    name: str,
    title: str,
    series: Sequence[tuple[str, np.ndarray]],
    edges: np.ndarray,
    label: str,
    lines: Sequence[tuple[str, float]] = (),
) -> Chart:
    """Draw histograms as shares; `series` gives the counts between `edges`, `lines` marks values."""
    styles = [(MODEL, "-", "////"), (BASELINE, "--", ""), (OTHER, ":", "....")]
    with _styled():
        chart, (axes,) = _figure(7.2, 3.2, 1)
        for (what, counts), (color, dash, hatch) in zip(series, styles, strict=False):
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
        text = "; ".join(f"{what}: mean {format_number(_mean(middles, counts))}" for what, counts in series)
        marked = "".join(f"; {what} at {format_number(at)}" for what, at in lines)
        return _chart(chart, name, title, f"{title}. {label}. {text}{marked}.")


def curve(
    name: str,
    title: str,
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    baseline: tuple[float, float] | None = None,
    ticks: Sequence[str] | None = None,
) -> Chart:
    """Draw lines (name, x, y) over the band of the baseline, if any; `ticks` label x = 0, 1, …"""
    styles = [(MODEL, "-", "o"), (OTHER, "--", "s"), ("#3a8f5c", ":", "^")]
    with _styled():
        chart, (axes,) = _figure(7.2, 3.2, 1)
        if baseline is not None:
            axes.axhspan(*baseline, color=BASELINE, alpha=0.35, linewidth=0, label="real images (baseline)")
        for (what, x, y), (color, dash, marker) in zip(series, styles, strict=False):
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
        ends = ((what, format_number(y[0]), format_number(y[-1])) for what, _, y in series if len(y))
        text = "; ".join(f"{what}: from {first} to {last}" for what, first, last in ends)
        band = f"; real images {format_number(baseline[0])} to {format_number(baseline[1])}" if baseline else ""
        return _chart(chart, name, title, f"{title}. {ylabel} against {xlabel}. {text}{band}.")


def _panel(axes: Axes, panel: Panel, model: str, baseline: str) -> None:
    heights = np.arange(len(panel.marks))[::-1]
    for y, mark in zip(heights, panel.marks, strict=True):
        first, middle = y == len(panel.marks) - 1, mark.baseline
        if np.isfinite(middle):
            low, high = (mark.baseline_low, mark.baseline_high) if np.isfinite(mark.baseline_low) else (middle, middle)
            axes.barh(y, high - low, left=low, height=0.5, color=BASELINE, alpha=0.45)
            axes.plot([middle] * 2, [y - 0.25, y + 0.25], color=BASELINE, linewidth=3,
                      label=baseline if first else None)  # fmt: skip
        if np.isfinite(mark.low) and np.isfinite(mark.high):
            axes.plot([mark.low, mark.high], [y, y], color=MODEL, linewidth=1.6)
        axes.plot(mark.value, y, marker="D", markersize=6.5, color=MODEL, linestyle="",
                  label=model if first else None)  # fmt: skip
    axes.set_yticks(heights, [mark.name for mark in panel.marks])
    axes.set_ylim(-0.6, len(panel.marks) - 0.4)
    axes.set_xlabel(panel.label)
    if panel.limits:
        axes.set_xlim(*panel.limits)
    else:
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.grid(axis="x", color=BASELINE, alpha=0.25)
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
    """Prepare an SVG for the page: no prolog or metadata, unique ids, the page's text colour, a text alternative."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href|href)="#', rf'\1="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace(_INK, "currentColor")
    text = alt.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{text}">{rest}'
