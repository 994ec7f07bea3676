"""`napari-pgan-train evaluate`: measure the quality of a model."""

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
        str, typer.Argument(help="A model file, a shipped model, or a run folder (its best model, with trends).")
    ],
    store: Annotated[str, typer.Argument(help="A store with held-out subjects, as written by `prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for the report; an unfinished evaluation in it is continued.")],
    measures: Annotated[
        str,
        typer.Option(
            help="quick (likeness, memorisation), all, or a comma-separated list of likeness, memorisation, use, "
            "consistency, trends."
        ),
    ] = "quick",
    samples: Annotated[int, typer.Option(help="Number of generated images.", min=16, max=100_000)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the first sample and of all random choices.", min=0)] = 0,
    features: Annotated[
        str,
        typer.Option(
            help="trained (on the store), inception (torchmetrics, if its weights are on this machine), or "
            "package.module:callable."
        ),
    ] = "trained",
    low_data: Annotated[
        list[str] | None,
        typer.Option(help="A model trained on fewer subjects, for the low-data curve of `use`; repeatable."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Training steps of each segmenter in use and consistency, default 3,000. `use` trains 9 of them, and "
            "9 more for each --low-data: 40 to 70 minutes at 64×64 on two cores.",
            min=100,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Device that generates images: cpu, cuda, mps or auto.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure the quality of a model; each metric is shown next to its real-vs-real baseline.

    On two cores, the quick measures take about 3 minutes, trends 1, use 40 to 70 (less with --steps), and consistency
    up to 8 if `use` has not run.

    The report is one page, report.html in --out. Finished measures are kept; the same command continues.

    Example: `napari-pgan-train evaluate default cohort.zarr --out report`
    """
    from napari_pgan.evaluation.context import EvaluationRequest
    from napari_pgan.evaluation.evaluate import evaluate as run_evaluation
    from napari_pgan.evaluation.measures import parse_measures
    from napari_pgan.evaluation.optional_packages import check_installed
    from napari_pgan.evaluation.segmentation.segmenter import STEPS
    from napari_pgan.progress import emit, progress, say
    from napari_pgan.store import open_store
    from napari_pgan.training.device import choose_device

    chosen = parse_measures(measures)
    if low_data and "use" not in chosen:
        raise InputError("--low-data needs the measure use; add it to --measures")
    if steps is not None and not {"use", "consistency"} & set(chosen):
        raise InputError("--steps needs the measure use or consistency; add one to --measures, or omit --steps")
    check_installed()
    where, cohort = choose_device(device), open_store(store)
    candidate, run = _candidate(model, where)
    low_data_models = tuple(_candidate(name, where)[0] for name in low_data or ())
    request = EvaluationRequest(
        candidate, cohort, out, chosen, samples, seed, features, low_data_models, run, steps or STEPS
    )

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

    report = run_evaluation(request, progress, say, draw_sheet)
    if json:
        emit(report.data)
    for section in report.sections:
        say(f"{section.name.capitalize()}: {section.verdict}. {section.sentence}")
    say(f"report: {report.folder.page}")


def _candidate(text: str, device: torch.device) -> tuple[Candidate, RunHistory | None]:
    """Return the model, and the history of its run if a run folder is given."""
    from napari_pgan.cli.run_history import history_of
    from napari_pgan.evaluation.context import Candidate
    from napari_pgan.model import load_model
    from napari_pgan.training.run_folder import Run
    from napari_pgan.training.transfer import model_or_best_of_run

    path, _ = model_or_best_of_run(text)
    run = Run(text)
    return Candidate(load_model(path, device), text), history_of(run) if run.started else None
