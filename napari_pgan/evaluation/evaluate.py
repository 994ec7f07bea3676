"""An evaluation: measures one after another into a folder, each kept as soon as it is there, and a report of them."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from napari_pgan import __version__
from napari_pgan.evaluation.context import TRAINED, Candidate, EvaluationContext, Progress, RunHistory
from napari_pgan.evaluation.extra import check_installed
from napari_pgan.evaluation.matching import Match, match
from napari_pgan.evaluation.measures import MEASURES
from napari_pgan.evaluation.memorisation.pairs import DrawSheet
from napari_pgan.evaluation.report.page import EvaluationReport, write_report
from napari_pgan.evaluation.report_folder import Finished, Folder
from napari_pgan.evaluation.segmentation.segmenter import STEPS
from napari_pgan.store import Store

SHEET = 12  # samples on the sheet
_PACKAGES = ("torch", "numpy", "torchmetrics", "monai")


@dataclass(frozen=True)
class EvaluationRequest:
    """What an evaluation is asked to find out.

    Parameters
    ----------
    candidate
        The model.
    store
        The cohort that it is compared with.
    out
        The folder of the evaluation; one that is unfinished is continued.
    measures
        Names, as `parse_measures` gives them.
    samples, seed
        How many images are generated, and the first one's seed.
    features
        ``"trained"``: an encoder is trained on the store's training subjects; or as `named_encoder` takes it.
    low_data
        Models that were trained on a few of the subjects, for the low-data curve of ``use``.
    run
        The training's history, where the model is a run's.
    steps
        Of the training of each segmenter.
    """

    candidate: Candidate
    store: Store
    out: Path
    measures: tuple[str, ...]
    samples: int = 2000
    seed: int = 0
    features: str = TRAINED
    low_data: tuple[Candidate, ...] = ()
    run: RunHistory | None = None
    steps: int = STEPS


def evaluate(
    wish: EvaluationRequest, progress: Progress, say: Callable[[str], None], draw_sheet: DrawSheet
) -> EvaluationReport:
    """Take the measures that are asked for, and write the report of all that the folder has.

    Parameters
    ----------
    wish
        What is asked for.
    progress
        Shows how far a step is: ``progress(what, steps, unit)`` is a context that gives ``update(done)``.
    say
        Takes a line for the person.
    draw_sheet
        Writes images as a PNG, as `DrawSheet` says.

    Raises
    ------
    InputError
        Model and store do not fit, the store holds nobody back, a measure is not possible with them, the folder holds
        something else, the encoder that is named cannot be made or does not take such images, or a package is missing.
        Nothing is computed or written before that is known.
    """
    check_installed()
    model = wish.candidate.model
    found = match(model.card, wish.store, wish.candidate.where)
    facts = {
        "model": model.identity,
        "store": wish.store.fingerprint,
        "samples": wish.samples,
        "seed": wish.seed,
        "features": wish.features,
        **({} if wish.steps == STEPS else {"steps": wish.steps}),  # evaluations of before had no choice
    }
    folder = Folder(wish.out, facts)
    work = EvaluationContext(
        wish.candidate, wish.store, found, folder, wish.samples, wish.seed, wish.features, wish.low_data, wish.run,
        progress, draw_sheet, wish.steps,
    )  # fmt: skip
    for name in wish.measures:
        MEASURES[name].refuse(work)
    if any(MEASURES[name].on_features for name in wish.measures):
        work.try_named()
    folder.claim()
    for name in wish.measures:
        _take(name, work, say)
    if not folder.sheet.is_file():
        drawn = work.draw(model, min(SHEET, wish.samples))
        draw_sheet(folder.sheet, drawn.images, drawn.labels, [f"seed {n}" for n in drawn.seeds], None, None)
    kept = {name: _kept(name, work) for name in MEASURES}
    about = describe(wish, found, kept)
    return write_report(folder, about, {name: one for name, one in kept.items() if one is not None})


def _take(name: str, work: EvaluationContext, say: Callable[[str], None]) -> None:
    measure = MEASURES[name]
    if _kept(name, work) is not None:
        say(f"{measure.title}: taken before, kept")
        return
    if told := measure.announce(work):
        say(f"{measure.title}: {told}")
    work.shared_seconds.clear()
    began = time.monotonic()
    result = measure.take(work)
    shared = dict(work.shared_seconds)
    seconds = {"own": time.monotonic() - began - sum(shared.values()), **shared}
    finished = Finished(
        result=result,
        seconds={k: round(v, 2) for k, v in seconds.items()},
        date=datetime.date.today().isoformat(),
        versions={"napari-pgan": __version__, "python": platform.python_version(), **_versions()},
    )
    work.folder.write(name, _of(name, work, measure.version), finished)


def _kept(name: str, work: EvaluationContext) -> Finished | None:
    """What a measure found before, if it stands."""
    measure = MEASURES[name]
    every = (work.folder.read(name, _of(name, work, version)) for version in (measure.version, *measure.readable))
    return next((found for found in every if found is not None), None)


def _of(name: str, work: EvaluationContext, version: int) -> list[Any]:
    """What a measure's result is of, beside the facts of the evaluation."""
    measure = MEASURES[name]
    digest = work.named.digest if measure.on_features and work.named is not None else ""
    return [version, measure.options(work), *([digest] if digest else [])]


def describe(wish: EvaluationRequest, found: Match, kept: dict[str, Finished | None]) -> dict[str, Any]:
    """What an evaluation is of, for the report."""
    model, store, card = wish.candidate.model, wish.store, wish.candidate.model.card
    counts = store.counts()
    training = {k: v for k, v in card.training.items() if k in ("images", "cohort", "subjects", "date", "code_version")}
    recipe = card.training.get("recipe")
    if isinstance(recipe, dict) and "name" in recipe:
        training["recipe"] = recipe["name"]
    return {
        "limits": card.limits,
        "samples": wish.samples,
        "seed": wish.seed,
        "features": wish.features,
        "model": {
            "name": card.name,
            "identity": model.identity,
            "pixels": "×".join(map(str, card.grid.shape)),
            "modalities": list(card.channels.modalities),
            "labels": [{"value": x.value, "name": x.name} for x in card.channels.labels],
            "parameters": sum(p.numel() for p in model.generator.parameters()),
            "licence": card.licence,
            "training": training,
        },
        "store": {
            "name": store.name,
            "fingerprint": store.fingerprint,
            "subjects": ", ".join(f"{n} {split}" for split, n in counts.items()),
            "held_out": len(found.held_out),
        },
        "caveats": _caveats(found, len(card.training.get("subject_hashes", ()))),
        "not_measured": [name for name, one in kept.items() if one is None],
    }


def _caveats(found: Match, named: int) -> list[str]:
    flatters = "They may be among the held-out ones, and then the figures flatter it."
    why = {
        "all": "",
        "some": f"{len(found.trained)} of the {named} subjects that the model was trained on are in this store. The "
        "others are unknown to this page: copies of their images are not searched for.",
        "none": f"None of the {named} subjects that the model was trained on are in this store: it is another cohort, "
        f"or was prepared under another salt. In the latter case nobody can say whom the model has seen. {flatters}",
        "unstated": f"The model does not say which subjects it was trained on. {flatters}",
    }[found.known]
    if why:
        why += (
            " Where this page speaks of training subjects, or of segmenters that real images taught, they are the "
            "store's training subjects, not the model's."
        )
    few = len(found.held_out)
    return [
        *([why] if why else []),
        *([f"Only {few} subject{'s are' if few > 1 else ' is'} held out, so figures on them say little about the "
           "next one."] if few < 6 else []),
    ]  # fmt: skip


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
