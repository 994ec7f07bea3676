"""`napari-pgan-train evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_pgan.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from napari_pgan.evaluation.context import Candidate, RunHistory


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model file, the name of a shipped one, or a run folder (its best, with trends).")
    ],
    store: Annotated[str, typer.Argument(help="A prepared cohort with subjects held out, as `prepare` writes it.")],
    out: Annotated[Path, typer.Option(help="A folder for the report; an unfinished evaluation in it is continued.")],
    measures: Annotated[
        str,
        typer.Option(
            help="quick (likeness, memorisation), all, or some of likeness, memorisation, use, consistency, "
            "trends, with commas between."
        ),
    ] = "quick",
    samples: Annotated[int, typer.Option(help="How many images are generated.", min=16, max=100_000)] = 2000,
    seed: Annotated[int, typer.Option(help="The first sample's seed; it decides all else, too.", min=0)] = 0,
    features: Annotated[
        str,
        typer.Option(
            help="trained (on the store), inception (of torchmetrics, where its weights are on this machine), "
            "or package.module:callable."
        ),
    ] = "trained",
    low_data: Annotated[
        list[str] | None,
        typer.Option(help="A model of a few of the subjects, for the low-data curve of `use`; repeatable."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="How long use and consistency train each segmenter: 3,000 steps if not given. `use` trains 9 of them, "
            "and 9 more for each --low-data: 40 to 70 minutes at 64×64 on two cores.",
            min=100,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where images are generated: cpu, cuda, mps or auto.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the report for machines.")] = False,
) -> None:
    """Measure how good a model is: each figure beside what real images reach.

    The quick measures take some 3 minutes on two cores, trends 1, use 40 to 70 (--steps makes it shorter), consistency
    up to 8 where use was not taken before it.

    One page, report.html in --out, says it in words, tables and charts. A measure that is finished is kept; the same
    command goes on after it.

    Example: `napari-pgan-train evaluate default cohort.zarr --out report`
    """
    from napari_pgan.evaluation.context import EvaluationRequest
    from napari_pgan.evaluation.evaluate import evaluate as take
    from napari_pgan.evaluation.extra import check_installed
    from napari_pgan.evaluation.measures import parse_measures
    from napari_pgan.evaluation.segmentation.segmenter import STEPS
    from napari_pgan.progress import emit, progress, say
    from napari_pgan.store import open_store
    from napari_pgan.training.device import choose_device

    wanted = parse_measures(measures)
    if low_data and "use" not in wanted:
        raise InputError("--low-data belongs to the measure use; add it to --measures")
    if steps is not None and not {"use", "consistency"} & set(wanted):
        raise InputError("--steps belongs to the measures use and consistency; add one to --measures, or leave it out")
    check_installed()
    where, cohort = choose_device(device), open_store(store)
    candidate, run = _candidate(model, where)
    few = tuple(_candidate(name, where)[0] for name in low_data or ())
    request = EvaluationRequest(candidate, cohort, out, wanted, samples, seed, features, few, run, steps or STEPS)

    def draw_sheet(
        path: Path,
        images: np.ndarray,
        labels: np.ndarray,
        rows: Sequence[str],
        title: str | None,
        foot: str | None,
    ) -> None:
        from napari_pgan.samples.sheet import write_sheet

        channels = candidate.model.card.channels
        blocks, foot = 1 + (len(images) > 4), foot or candidate.model.card.limits
        write_sheet(path, images, labels, channels, rows, blocks=blocks, title=title, foot=foot)

    report = take(request, progress, say, draw_sheet)
    if json:
        emit(report.data)
    for section in report.sections:
        say(f"{section.name.capitalize()}: {section.verdict}. {section.sentence}")
    say(f"report: {report.folder.page}")


def _candidate(text: str, device: torch.device) -> tuple[Candidate, RunHistory | None]:
    """The model, and its run's history where it is given as a run."""
    from napari_pgan.cli.run_history import history_of
    from napari_pgan.evaluation.context import Candidate
    from napari_pgan.model import load_model
    from napari_pgan.training.init import model_or_best_of_run
    from napari_pgan.training.run_folder import Run

    path, _ = model_or_best_of_run(text)
    run = Run(text)
    return Candidate(load_model(path, device), text), history_of(run) if run.begun else None
