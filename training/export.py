"""The running mean of a training as a model file."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_pgan import __version__
from napari_pgan.model import Architecture, Card, Condition, Encoding, Generator, write_model
from napari_pgan.model.refit import refit_lower_heads, store_mean_map
from napari_pgan.store import Store
from napari_pgan.training.loop import Trainer
from napari_pgan.training.schedule import Moment


def shown_stage(moment: Moment) -> int:
    """The stage that is worth showing: the newest, from the middle of its fade-in on."""
    return moment.phase.stage - (moment.alpha < 0.5)


def grown_to(generator: Generator, stage: int) -> Generator:
    """A copy of a generator that ends at a stage."""
    a = replace(generator.architecture, widths=generator.architecture.widths[: stage + 1])
    small = Generator(a)
    own = small.state_dict()
    small.load_state_dict({k: v.detach().cpu() for k, v in generator.state_dict().items() if k in own})
    return small.eval().requires_grad_(False)


def export_model(
    path: Path,
    trainer: Trainer,
    moment: Moment,
    store: Store,
    encoding: Encoding,
    conditions: tuple[Condition, ...],
    measures: Mapping[str, Any],
    name: str,
    licence: str,
) -> None:
    """Write the running mean, with the mean first map and refitted lower heads, and its card."""
    generator = grown_to(trainer.mean, shown_stage(moment))
    with torch.random.fork_rng(devices=[]):
        store_mean_map(generator)
        refit_lower_heads(generator, label_channels=encoding.label_count if encoding.kind == "onehot" else 0)
    write_model(
        path,
        make_card(generator.architecture, trainer, store, encoding, conditions, measures, name, licence),
        generator,
    )


def make_card(
    architecture: Architecture,
    trainer: Trainer,
    store: Store,
    encoding: Encoding,
    conditions: tuple[Condition, ...],
    measures: Mapping[str, Any],
    name: str,
    licence: str,
) -> Card:
    """The card of what a trainer has made of a store."""
    return Card(
        name=name,
        architecture=architecture,
        channels=encoding.channels,
        grid=store.grid.at_size(architecture.shape(architecture.stages - 1)),
        encoding=encoding.kind,
        intensity=copy.deepcopy(dict(store.intensity)),
        conditions=conditions,
        training={
            "recipe": trainer.recipe.to_dict(),
            "images": trainer.seen,
            "cohort": store.name,
            "subjects": store.counts(),
            "subject_hashes": store.keys("train"),
            "code_version": __version__,
            "date": datetime.date.today().isoformat(),
            "measures": dict(measures),
        },
        licence=licence,
    )
