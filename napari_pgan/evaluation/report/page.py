"""The report of an evaluation: one page without network, charts as pictures, and JSON."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from napari_pgan.atomic import replacing, write_text
from napari_pgan.evaluation.report.section import Section
from napari_pgan.evaluation.report.sections import SECTIONS, TITLES
from napari_pgan.evaluation.report_folder import Finished, Folder

_SHARED = {
    "samples": "generating the samples",
    "reading": "reading the store",
    "encoder": "training the encoder",
}


@dataclass(frozen=True)
class EvaluationReport:
    """What was written.

    Parameters
    ----------
    data
        As in ``report.json``.
    sections
        One a measure that was taken.
    folder
        Where it lies.
    """

    data: dict[str, Any]
    sections: tuple[Section, ...]
    folder: Folder


def write_report(folder: Folder, about: Mapping[str, Any], kept: Mapping[str, Finished]) -> EvaluationReport:
    """Write page, charts and JSON of the measures that were taken.

    Parameters
    ----------
    folder
        Of the evaluation.
    about
        What it is of.
    kept
        Measure → what it found.
    """
    sections = tuple(SECTIONS[name](one.result, about) for name, one in kept.items())
    data = {
        "about": dict(about),
        "measures": {
            section.name: {
                **section.to_dict(),
                "result": kept[section.name].result,
                "seconds": kept[section.name].seconds,
                "date": kept[section.name].date,
                "versions": kept[section.name].versions,
            }
            for section in sections
        },
    }
    write_text(folder.data, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if folder.charts.is_dir():
        shutil.rmtree(folder.charts)
    for section in sections:
        for chart in section.charts:
            with replacing(folder.charts / f"{chart.name}.png") as temporary:
                temporary.write_bytes(chart.png)
    write_text(folder.page, render(folder, data, sections, kept))
    return EvaluationReport(data, sections, folder)


def render(folder: Folder, data: Mapping[str, Any], sections: tuple[Section, ...], kept: Mapping[str, Finished]) -> str:
    """The page as HTML; its pictures are in it, but for those that show patients."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string((resources.files(__package__) / "page.html").read_text("utf-8"))
    about = data["about"]
    labels = ", ".join(x["name"] for x in about["model"]["labels"])
    return template.render(
        about=about,
        sections=sections,
        missing={
            TITLES[name]: f"Not asked for; the same command with --measures {name} adds it."
            for name in about["not_measured"]
        },
        pairs=len(list(folder.pairs.glob("*.png"))) if folder.pairs.is_dir() else 0,
        sheet=base64.b64encode(folder.sheet.read_bytes()).decode() if folder.sheet.is_file() else "",
        sheet_alt=f"Generated images, none of a subject: {', '.join(about['model']['modalities'])}"
        + (f", and the segmentation ({labels}) over one of them" if labels else ""),
        provenance=[*_provenance(about), *_versions(kept)],
        steps=_steps(kept),
    )


def _provenance(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    model, store = about["model"], about["store"]
    training = model["training"]
    seen = [f"{training['images']:,} images"] if isinstance(training.get("images"), int) else []
    seen += [f"recipe {training['recipe']}"] if "recipe" in training else []
    seen += [f"cohort {training['cohort']}"] if "cohort" in training else []
    seen += [f"on {training['date']}"] if "date" in training else []
    return [
        ("model", f"{model['name']}, {model['pixels']} pixels, {model['parameters'] / 1e6:.2f} million numbers"),
        ("identity", model["identity"]),
        ("trained", ", ".join(seen) or "not stated"),
        ("licence", model["licence"]),
        ("modalities", ", ".join(model["modalities"])),
        ("labels", ", ".join(f"{x['value']} {x['name']}" for x in model["labels"]) or "none"),
        ("store", f"{store['name']}, {store['subjects']}, fingerprint {store['fingerprint']}"),
        ("held out", f"{store['held_out']} subjects that the model was not trained on"),
        ("samples", f"{about['samples']:,}, seeds {about['seed']} to {about['seed'] + about['samples'] - 1}"),
        ("features", about["features"]),
    ]


def _versions(kept: Mapping[str, Finished]) -> list[tuple[str, str]]:
    """With what the measures were taken; several rows where some were taken with others."""
    names: dict[str, list[str]] = {}
    for name, one in kept.items():
        names.setdefault(", ".join(f"{k} {v}" for k, v in one.versions.items()), []).append(name)
    return [(f"with, for {', '.join(some)}" if len(names) > 1 else "with", text) for text, some in names.items()]


def _steps(kept: Mapping[str, Finished]) -> list[dict[str, str]]:
    """Each measure's own time, and what was made for the first measure that needed it."""
    steps = []
    for name, one in kept.items():
        for what, seconds in one.seconds.items():
            step = TITLES[name] if what == "own" else f"{_SHARED[what]}, for {name}"
            steps.append({"name": step, "time": _time(seconds), "date": one.date})
    return steps


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
