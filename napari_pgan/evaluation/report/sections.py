"""The section of each measure, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_pgan.evaluation.report import consistency, likeness, memorisation, trends, use
from napari_pgan.evaluation.report.section import Section

SECTIONS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Section]] = {
    "likeness": likeness.likeness_section,
    "memorisation": memorisation.memorisation_section,
    "use": use.use_section,
    "consistency": consistency.consistency_section,
    "trends": trends.trends_section,
}
TITLES: Mapping[str, str] = {
    "likeness": likeness.TITLE,
    "memorisation": memorisation.TITLE,
    "use": use.TITLE,
    "consistency": consistency.TITLE,
    "trends": trends.TITLE,
}
