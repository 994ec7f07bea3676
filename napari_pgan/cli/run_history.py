"""What a run folder tells an evaluation: the distances it noted on the way, and the models it has kept."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

from safetensors.torch import load_file

from napari_pgan.errors import InputError
from napari_pgan.evaluation.context import RunHistory, RunModel
from napari_pgan.model import Generator, Model, load_model
from napari_pgan.model.card import Card
from napari_pgan.model.model_file import read_card
from napari_pgan.training.checkpoint import verified
from napari_pgan.training.export import grown_to, shown_stage
from napari_pgan.training.planning import schedule_of
from napari_pgan.training.run_folder import Run, RunPlan

_MEAN = "mean."  # before the names of the running mean's tensors in a checkpoint


def history_of(run: Run) -> RunHistory:
    """The history of a run.

    Parameters
    ----------
    run
        A folder in which a training was begun.

    Raises
    ------
    InputError
        Its plan or one of its models cannot be read.
    """
    found: dict[int, RunModel] = {}  # by images: a checkpoint and a model of as many hold the same running mean
    if run.model.is_file():
        card, plan = read_card(run.model), run.read_plan()
        for path in sorted(run.checkpoints.glob("[0-9]*.safetensors")):
            with contextlib.suppress(InputError):  # of another version of the software: its models tell enough
                if verified(path):
                    load = partial(model_of_checkpoint, path, card, plan)
                    found[int(path.stem)] = RunModel("checkpoint", int(path.stem), path.name, load)
    for path, name in ((run.model, "newest model"), (run.best, "best model")):
        if path.is_file():
            seen = int(read_card(path).training.get("images", 0))
            also = seen in found and found[seen].name.endswith("model")
            name = "best and newest model" if also else name
            found[seen] = RunModel(name, seen, _digest(path), partial(load_model, path))
    return RunHistory(tuple(_distances(run)), tuple(found[seen] for seen in sorted(found)))


def model_of_checkpoint(path: Path, card: Card, plan: RunPlan) -> Model:
    """The running mean of a checkpoint, at the size that was worth showing then.

    Parameters
    ----------
    path
        Of the checkpoint.
    card
        Of a model of the same run, perhaps of another size.
    plan
        Of the run.
    """
    schedule, seen = schedule_of(plan), int(path.stem)
    tensors = {k.removeprefix(_MEAN): v for k, v in load_file(path).items() if k.startswith(_MEAN)}
    widths = tuple(size.width for size in plan.recipe.sizes.values())[: schedule.last_stage + 1]
    generator = Generator(replace(card.architecture, widths=widths))
    generator.load_state_dict(tensors)
    small = grown_to(generator, shown_stage(schedule.reached(seen)))
    shape = small.architecture.shape(small.architecture.stages - 1)
    return Model(replace(card, architecture=small.architecture, grid=card.grid.at_size(shape)), small)


def _distances(run: Run) -> list[dict[str, float]]:
    """Images seen, size and mean distance of every look, oldest first."""
    found = []
    for row in run.read_metrics():
        for name in ("swd_val", "swd_train"):
            if isinstance(row.get(name), dict) and "mean" in row[name]:
                found.append({"images": row["images"], "size": row["size"], "swd": row[name]["mean"]})
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
