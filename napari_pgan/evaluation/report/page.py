"""The report of an evaluation: a self-contained HTML page, charts as images, and JSON."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from napari_pgan.atomic import replacing, write_text
from napari_pgan.evaluation.report import consistency, likeness, memorisation, trends, use
from napari_pgan.evaluation.report.section import Section
from napari_pgan.evaluation.report_folder import MeasureResult, ReportFolder

_SECTIONS = {
    "likeness": likeness.likeness_section,
    "memorisation": memorisation.memorisation_section,
    "use": use.use_section,
    "consistency": consistency.consistency_section,
    "trends": trends.trends_section,
}
_TITLES = {
    "likeness": likeness.TITLE,
    "memorisation": memorisation.TITLE,
    "use": use.TITLE,
    "consistency": consistency.TITLE,
    "trends": trends.TITLE,
}
_SHARED = {
    "samples": "generating the samples",
    "reading": "reading the store",
    "encoder": "training the encoder",
}


@dataclass(frozen=True)
class EvaluationReport:
    """A written report.

    Parameters
    ----------
    data
        Content of ``report.json``.
    sections
        One per computed measure.
    folder
        Output folder.
    """

    data: dict[str, Any]
    sections: tuple[Section, ...]
    folder: ReportFolder


def write_report(
    folder: ReportFolder, about: Mapping[str, Any], results: Mapping[str, MeasureResult]
) -> EvaluationReport:
    """Write page, charts and JSON.

    Parameters
    ----------
    folder
        Output folder.
    about
        Description of the evaluation.
    results
        Measure → result.
    """
    sections = tuple(_SECTIONS[name](one.result, about) for name, one in results.items())
    data = {
        "about": dict(about),
        "measures": {section.name: {**section.to_dict(), **vars(results[section.name])} for section in sections},
    }
    write_text(folder.data, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if folder.charts.is_dir():
        shutil.rmtree(folder.charts)
    for section in sections:
        for chart in section.charts:
            with replacing(folder.charts / f"{chart.name}.png") as temporary:
                temporary.write_bytes(chart.png)
    write_text(folder.page, render(folder, about, sections, results))
    return EvaluationReport(data, sections, folder)


def render(
    folder: ReportFolder,
    about: Mapping[str, Any],
    sections: tuple[Section, ...],
    results: Mapping[str, MeasureResult],
) -> str:
    """Render the page as HTML. Images are embedded, except those that show patients."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((resources.files(__package__) / "page.html").read_text("utf-8"))
    labels = ", ".join(x["name"] for x in about["model"]["labels"])
    return template.render(
        about=about,
        sections=sections,
        missing={_TITLES[name]: f"Add it with --measures {name}." for name in about["not_measured"]},
        pairs=len(list(folder.pairs.glob("*.png"))) if folder.pairs.is_dir() else 0,
        sheet=base64.b64encode(folder.sheet.read_bytes()).decode() if folder.sheet.is_file() else "",
        sheet_alt=f"Generated images, not of a subject: {', '.join(about['model']['modalities'])}"
        + (f", with the segmentation ({labels}) on one of them" if labels else ""),
        provenance=[*_provenance(about), *_versions(results)],
        steps=_steps(results),
    )


def _provenance(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    model, store = about["model"], about["store"]
    training = model["training"]
    seen = [f"{training['images']:,} images"] if isinstance(training.get("images"), int) else []
    seen += [f"recipe {training['recipe']}"] if "recipe" in training else []
    seen += [f"cohort {training['cohort']}"] if "cohort" in training else []
    seen += [f"on {training['date']}"] if "date" in training else []
    return [
        ("model", f"{model['name']}, {model['pixels']} pixels, {model['parameters'] / 1e6:.2f} million parameters"),
        ("identity", model["identity"]),
        ("training", ", ".join(seen) or "not stated"),
        ("licence", model["licence"]),
        ("modalities", ", ".join(model["modalities"])),
        ("labels", ", ".join(f"{x['value']} {x['name']}" for x in model["labels"]) or "none"),
        ("store", f"{store['name']}, {store['subjects']}, fingerprint {store['fingerprint']}"),
        ("held out", f"{store['held_out']} subjects that the model was not trained on"),
        ("samples", f"{about['samples']:,}, seeds {about['seed']} to {about['seed'] + about['samples'] - 1}"),
        ("features", about["features"]),
    ]


def _versions(results: Mapping[str, MeasureResult]) -> list[tuple[str, str]]:
    """Software versions; one row per set of versions if measures differ."""
    names: dict[str, list[str]] = {}
    for name, one in results.items():
        names.setdefault(", ".join(f"{k} {v}" for k, v in one.versions.items()), []).append(name)
    return [(f"software, {', '.join(some)}" if len(names) > 1 else "software", text) for text, some in names.items()]


def _steps(results: Mapping[str, MeasureResult]) -> list[dict[str, str]]:
    """Run time of each measure, and of shared steps, listed with the first measure that needed them."""
    steps = []
    for name, one in results.items():
        for what, seconds in one.seconds.items():
            step = _TITLES[name] if what == "own" else f"{_SHARED[what]}, for {name}"
            time = f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
            steps.append({"name": step, "time": time, "date": one.date})
    return steps
