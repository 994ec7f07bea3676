"""The command `napari-pgan-train fit`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

from napari_pgan.cli.options import Device
from napari_pgan.errors import InputError, Stopped
from napari_pgan.progress import Update, emit, progress, say


def fit(
    store: Annotated[str, typer.Argument(help="A prepared cohort, as `prepare` writes it.")],
    recipe: Annotated[
        str | None, typer.Option(help="The name of a recipe, or a YAML file. Default: `default`.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run folder. An unfinished run in it is continued.")] = Path("run"),
    size: Annotated[int | None, typer.Option(help="Last size in pixels. Default: the store's.")] = None,
    images: Annotated[int | None, typer.Option(help="Length of the whole training in real images.", min=1)] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Length of the whole training in minutes on this machine.")
    ] = None,
    subjects: Annotated[
        int | None, typer.Option(help="Number of training subjects to use. Default: all.", min=1)
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="A model to start from: a file, the name of a shipped model, or a run folder (its best)."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, changes a value of the recipe. Repeatable.")
    ] = None,
    device: Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Random seed. Default: the recipe's.", min=0)] = None,
    licence: Annotated[str | None, typer.Option(help="Terms of use of the model, for its card.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out with its own options.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write RUN/tensorboard, for `tensorboard --logdir RUN`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan without training.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Train a model on the train split of a store.

    The run folder holds the newest model (`model.safetensors`), the best by distance to held-out subjects
    (`best.safetensors`), previews, metrics and checkpoints. Ctrl-C stops at a checkpoint; repeat the command to
    continue.

    Example: `napari-pgan-train fit cohort.zarr --recipe default --out run --minutes 45`
    """
    if images is not None and minutes is not None:
        raise InputError("give --images or --minutes, not both")
    if minutes is not None and not 0 < minutes < 1e7:
        raise InputError(f"--minutes {minutes:g}: give a number above 0")
    options: dict[str, object] = {
        "recipe": recipe, "size": size, "images": images, "minutes": minutes, "set": set_, "seed": seed,
        "licence": licence, "init": init, "subjects": subjects,
    }  # fmt: skip
    given = [f"--{name}" for name, value in options.items() if value not in (None, [])]
    if resume and given:
        raise InputError(f"--resume continues the run with its own options; leave out {', '.join(given)}")
    from napari_pgan.training.dry_run import plan_training
    from napari_pgan.training.planning import TrainingRequest
    from napari_pgan.training.recipe import read_recipe
    from napari_pgan.training.session import resume_request, train
    from napari_pgan.training.tensorboard import check_installed, with_tensorboard

    if tensorboard:
        check_installed()
    overrides = [*(set_ or []), *([] if seed is None else [f"seed={seed}"])]
    chosen = read_recipe(recipe or "default", overrides)
    request = TrainingRequest(
        store, chosen, out, size, images, minutes, device, init, licence=licence or "not stated", subjects=subjects
    )
    if resume:
        request = resume_request(request)
    if dry_run:
        plan = plan_training(request)
        if json:
            emit(plan.to_dict())
        else:
            print(*plan.lines(), sep="\n")
        return 0

    def show_progress(total: int) -> AbstractContextManager[Update]:
        bar = progress("training", total, "images")
        return with_tensorboard(out, bar) if tensorboard else bar

    try:
        run = train(request, show_progress, say)
    except Stopped as stopped:
        say(str(stopped))
        return stopped.code
    if json:
        emit({"run": str(run.folder), "model": str(run.model), **run.read_status()})
    say(
        f"done: {run.model}; to see samples: `napari-pgan-train sample {run.model} --out sheet.png --count 16 --seed 0`"
    )
    return 0
