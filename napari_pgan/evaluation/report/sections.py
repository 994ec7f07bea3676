"""The section of each measure, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_pgan.evaluation.report import trends
from napari_pgan.evaluation.report.section import Section

SECTIONS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Section]] = {
    "trends": trends.trends_section,
}
TITLES: Mapping[str, str] = {"trends": trends.TITLE}
