"""`napari-pgan-train fit`."""

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
    recipe: Annotated[str | None, typer.Option(help="A recipe's name or YAML file; `default` if left out.")] = None,
    out: Annotated[Path, typer.Option(help="The run folder; an unfinished run in it is continued.")] = Path("run"),
    size: Annotated[int | None, typer.Option(help="Last size in pixels; the store's if left out.")] = None,
    images: Annotated[int | None, typer.Option(help="Length of the whole training in real images.", min=1)] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Length in minutes on this machine, turned into images.")
    ] = None,
    subjects: Annotated[
        int | None, typer.Option(help="Show only so many of the training subjects; all if left out.", min=1)
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="A model to start from: a file, the name of a shipped one, or a run folder (its best)."),
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value, changes the recipe; repeatable.")] = None,
    device: Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.", min=0)] = None,
    licence: Annotated[str | None, typer.Option(help="Terms for the model, written into its card.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, as it was begun.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write RUN/tensorboard, too; `tensorboard --logdir RUN` shows it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and train nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a result for machines.")] = False,
) -> int:
    """Train a model on the train split of a store.

    The run folder holds the newest model (`model.safetensors`), the best by distance to held-out subjects
    (`best.safetensors`), previews, metrics and checkpoints. Ctrl-C stops at a checkpoint; the same command goes on.

    Example: `napari-pgan-train fit cohort.zarr --recipe default --out run --minutes 45`
    """
    if images is not None and minutes is not None:
        raise InputError("give --images or --minutes, not both")
    if minutes is not None and not 0 < minutes < 1e7:
        raise InputError(f"--minutes {minutes:g}: give a number above 0")
    given: dict[str, object] = {
        "recipe": recipe,
        "size": size,
        "images": images,
        "minutes": minutes,
        "set": set_,
        "seed": seed,
    }
    given |= {"licence": licence, "init": init, "subjects": subjects}
    changed = [f"--{name}" for name, value in given.items() if value not in (None, [])]
    if resume and changed:
        raise InputError(f"--resume goes on with the run as it was begun; leave out {', '.join(changed)}")
    from napari_pgan.training.dry_run import outline
    from napari_pgan.training.fit import go_on, train
    from napari_pgan.training.planning import TrainingRequest
    from napari_pgan.training.recipe import read_recipe
    from napari_pgan.training.tensorboard import check_installed, mirrored

    if tensorboard:
        check_installed()
    changes = [*(set_ or []), *([] if seed is None else [f"seed={seed}"])]
    planned = read_recipe(recipe or "default", changes)
    wish = TrainingRequest(
        store, planned, out, size, images, minutes, device, init, licence=licence or "not stated", subjects=subjects
    )
    if resume:
        wish = go_on(wish)
    if dry_run:
        plan = outline(wish)
        if json:
            emit(plan.to_dict())
        else:
            print(*plan.lines(), sep="\n")
        return 0

    def watched(total: int) -> AbstractContextManager[Update]:
        bar = progress("training", total, "images")
        return mirrored(wish.out, bar) if tensorboard else bar

    try:
        run = train(wish, watched, say)
    except Stopped as stopped:
        say(str(stopped))
        return stopped.code
    if json:
        emit({"run": str(run.folder), "model": str(run.model), **run.read_status()})
    say(
        f"done: {run.model}; look at it with `napari-pgan-train sample {run.model} --out sheet.png --count 16 --seed 0`"
    )
    return 0
