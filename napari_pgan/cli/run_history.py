"""The history of a run for an evaluation: its distances to held-out subjects, and its models."""

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
from napari_pgan.training.checkpoint import is_intact
from napari_pgan.training.export import shown_stage, truncate_network
from napari_pgan.training.run_folder import Run, RunPlan

_EMA = "mean."  # prefix of the EMA generator's tensors in a checkpoint


def history_of(run: Run) -> RunHistory:
    """Return the history of a run.

    Parameters
    ----------
    run
        The folder of a training.

    Raises
    ------
    InputError
        Its plan or one of its models cannot be read.
    """
    models: dict[int, RunModel] = {}  # keyed by images seen; a checkpoint and a model file of one count are the same
    if run.model.is_file():
        card, plan = read_card(run.model), run.read_plan()
        for path in sorted(run.checkpoints.glob("[0-9]*.safetensors")):
            with contextlib.suppress(InputError):  # from another version of the software; the model files suffice
                if is_intact(path):
                    load = partial(model_of_checkpoint, path, card, plan)
                    models[int(path.stem)] = RunModel("checkpoint", int(path.stem), path.name, load)
    for path, name in ((run.model, "newest model"), (run.best, "best model")):
        if path.is_file():
            seen = int(read_card(path).training.get("images", 0))
            both = seen in models and models[seen].name.endswith("model")
            name = "best and newest model" if both else name
            models[seen] = RunModel(name, seen, _digest(path), partial(load_model, path))
    return RunHistory(tuple(_distances(run)), tuple(models[seen] for seen in sorted(models)))


def model_of_checkpoint(path: Path, card: Card, plan: RunPlan) -> Model:
    """Load the EMA generator of a checkpoint as a model, at the size that a snapshot would export.

    Parameters
    ----------
    path
        The checkpoint.
    card
        Of any model of the run.
    plan
        Of the run.
    """
    schedule, seen = plan.schedule(), int(path.stem)
    tensors = {k.removeprefix(_EMA): v for k, v in load_file(path).items() if k.startswith(_EMA)}
    widths = tuple(size.width for size in plan.recipe.sizes.values())[: schedule.last_stage + 1]
    generator = Generator(replace(card.architecture, widths=widths))
    generator.load_state_dict(tensors)
    small = truncate_network(generator, shown_stage(schedule.reached(seen)))
    shape = small.architecture.shape(small.architecture.stages - 1)
    return Model(replace(card, architecture=small.architecture, grid=card.grid.at_size(shape)), small)


def _distances(run: Run) -> list[dict[str, float]]:
    """Return images seen, size and mean distance of each snapshot, oldest first."""
    distances = []
    for row in run.read_metrics():
        for name in ("swd_val", "swd_train"):
            if isinstance(row.get(name), dict) and "mean" in row[name]:
                distances.append({"images": row["images"], "size": row["size"], "swd": row[name]["mean"]})
    return distances


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
