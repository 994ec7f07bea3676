"""Run an evaluation: compute measures one after another, store each result at once, and write the report."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from napari_pgan import __version__
from napari_pgan.evaluation.context import EvaluationContext, EvaluationRequest, Progress
from napari_pgan.evaluation.matching import Match, match
from napari_pgan.evaluation.measures import MEASURES
from napari_pgan.evaluation.memorisation.pairs import DrawSheet
from napari_pgan.evaluation.optional_packages import check_installed
from napari_pgan.evaluation.report.page import EvaluationReport, write_report
from napari_pgan.evaluation.report_folder import MeasureResult, ReportFolder
from napari_pgan.evaluation.segmentation.segmenter import STEPS

SHEET = 12  # samples on the sheet
_PACKAGES = ("torch", "numpy", "torchmetrics", "monai")


def evaluate(
    request: EvaluationRequest, progress: Progress, say: Callable[[str], None], draw_sheet: DrawSheet
) -> EvaluationReport:
    """Compute the requested measures, and write a report of all results in the folder.

    Parameters
    ----------
    request
        Settings.
    progress
        ``progress(what, steps, unit)`` is a context manager that yields ``update(done)``.
    say
        Prints a line for the user.
    draw_sheet
        Writes images as a PNG, see `DrawSheet`.

    Raises
    ------
    InputError
        Model and store do not match, the store has no held-out subjects, a measure does not apply to them, the folder
        contains something else, the named encoder cannot be created or rejects the images, or a package is missing.
        All of this is checked before anything is computed or written.
    """
    check_installed()
    model = request.candidate.model
    matched = match(model.card, request.store, request.candidate.where)
    facts = {
        "model": model.identity,
        "store": request.store.fingerprint,
        "samples": request.samples,
        "seed": request.seed,
        "features": request.features,
        **({} if request.steps == STEPS else {"steps": request.steps}),  # earlier versions had no such option
    }
    folder = ReportFolder(request.out, facts)
    context = EvaluationContext(request, matched, folder, progress, draw_sheet)
    for name in request.measures:
        MEASURES[name].check(context)
    if any(MEASURES[name].uses_features for name in request.measures):
        context.check_named_encoder()
    folder.claim()
    for name in request.measures:
        _compute(name, context, say)
    if not folder.sheet.is_file():
        drawn = context.draw(model, min(SHEET, request.samples))
        draw_sheet(folder.sheet, drawn.images, drawn.labels, [f"seed {n}" for n in drawn.seeds], None, None)
    results = {name: result for name in MEASURES if (result := _stored(name, context)) is not None}
    return write_report(folder, describe(request, matched, results), results)


def _compute(name: str, context: EvaluationContext, say: Callable[[str], None]) -> None:
    measure = MEASURES[name]
    if _stored(name, context) is not None:
        say(f"{name}: already computed")
        return
    if announcement := measure.announce(context):
        say(f"{name}: {announcement}")
    context.shared_seconds.clear()
    began = time.monotonic()
    values = measure.compute(context)
    shared = dict(context.shared_seconds)
    seconds = {"own": time.monotonic() - began - sum(shared.values()), **shared}
    result = MeasureResult(
        result=values,
        seconds={k: round(v, 2) for k, v in seconds.items()},
        date=datetime.date.today().isoformat(),
        versions={"napari-pgan": __version__, "python": platform.python_version(), **_versions()},
    )
    context.folder.write(name, _settings(name, context, measure.version), result)


def _stored(name: str, context: EvaluationContext) -> MeasureResult | None:
    """The valid stored result of a measure."""
    measure = MEASURES[name]
    versions = (measure.version, *measure.compatible)
    results = (context.folder.read(name, _settings(name, context, version)) for version in versions)
    return next((result for result in results if result is not None), None)


def _settings(name: str, context: EvaluationContext, version: int) -> list[Any]:
    """What determines a measure's result in addition to the facts of the evaluation."""
    measure = MEASURES[name]
    digest = context.named.digest if measure.uses_features and context.named is not None else ""
    return [version, measure.options(context), *([digest] if digest else [])]


def describe(request: EvaluationRequest, matched: Match, results: dict[str, MeasureResult]) -> dict[str, Any]:
    """Describe the subject of an evaluation, for the report."""
    store, card = request.store, request.candidate.model.card
    training = {k: v for k, v in card.training.items() if k in ("images", "cohort", "subjects", "date", "code_version")}
    recipe = card.training.get("recipe")
    if isinstance(recipe, dict) and "name" in recipe:
        training["recipe"] = recipe["name"]
    return {
        "limits": card.limits,
        "samples": request.samples,
        "seed": request.seed,
        "features": request.features,
        "model": {
            "name": card.name,
            "identity": request.candidate.model.identity,
            "pixels": "×".join(map(str, card.grid.shape)),
            "modalities": list(card.channels.modalities),
            "labels": [{"value": x.value, "name": x.name} for x in card.channels.labels],
            "parameters": sum(p.numel() for p in request.candidate.model.generator.parameters()),
            "licence": card.licence,
            "training": training,
        },
        "store": {
            "name": store.name,
            "fingerprint": store.fingerprint,
            "subjects": ", ".join(f"{n} {split}" for split, n in store.counts().items()),
            "held_out": len(matched.held_out),
        },
        "caveats": _caveats(matched, len(card.training.get("subject_hashes", ()))),
        "not_measured": [name for name in MEASURES if name not in results],
    }


def _caveats(matched: Match, named: int) -> list[str]:
    flatters = "The held-out subjects may include subjects of the training, which would make the results too good."
    caveats = {
        "all": "",
        "some": f"Only {len(matched.trained)} of the {named} subjects that the model was trained on are in this store. "
        "Copies of images of the others cannot be detected.",
        "none": f"None of the {named} subjects that the model was trained on are in this store: it is another cohort, "
        "or the same one prepared with another salt. In the latter case it is unknown which subjects the model has "
        f"seen. {flatters}",
        "unstated": f"The model does not state which subjects it was trained on. {flatters}",
    }[matched.known]
    if caveats:
        caveats += (
            " On this page, “training subjects” and “trained on real images” refer to the training subjects of the "
            "store, not of the model."
        )
    few = len(matched.held_out)
    subjects = f"{few} subject is" if few == 1 else f"{few} subjects are"
    return [
        *([caveats] if caveats else []),
        *([f"Only {subjects} held out, so results on them say little about new subjects."] if few < 6 else []),
    ]


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
