"""The running mean of a training, and its critic, as a model file."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from napari_pgan import __version__
from napari_pgan.model import Architecture, Card, Condition, Critic, Encoding, Generator, write_model
from napari_pgan.model.refit import refit_lower_heads, store_mean_map
from napari_pgan.store import Store
from napari_pgan.training.schedule import Moment
from napari_pgan.training.trainer import Trainer

Network = TypeVar("Network", Generator, Critic)


def shown_stage(moment: Moment) -> int:
    """The stage that is worth showing: the newest, from the middle of its fade-in on."""
    return moment.phase.stage - (moment.alpha < 0.5)


def grown_to(network: Network, stage: int) -> Network:
    """A copy of a generator or critic, on the CPU, that ends at a stage."""
    a = replace(network.architecture, widths=network.architecture.widths[: stage + 1])
    with torch.random.fork_rng(devices=[]):
        small = type(network)(a)
    own = small.state_dict()
    small.load_state_dict({k: v.detach().cpu() for k, v in network.state_dict().items() if k in own})
    return small.eval().requires_grad_(False)


@dataclass(frozen=True)
class Origin:
    """What a model's card says of where it comes from.

    Parameters
    ----------
    store
        The cohort that it was trained on.
    encoding, conditions
        Of the model.
    name, licence
        For people.
    started_from
        The identity of the model that the training started from, if any.
    """

    store: Store
    encoding: Encoding
    conditions: tuple[Condition, ...]
    name: str
    licence: str
    started_from: str | None = None


def export_model(path: Path, trainer: Trainer, moment: Moment, origin: Origin, measures: Mapping[str, Any]) -> None:
    """Write the running mean, with the mean first map and refitted lower heads, its critic, and its card."""
    stage = shown_stage(moment)
    generator = grown_to(trainer.mean, stage)
    encoding = origin.encoding
    with torch.random.fork_rng(devices=[]):
        store_mean_map(generator)
        refit_lower_heads(generator, label_channels=encoding.label_count if encoding.kind == "onehot" else 0)
    card = make_card(generator.architecture, trainer, origin, measures)
    write_model(path, card, generator, grown_to(trainer.critic, stage))


def make_card(architecture: Architecture, trainer: Trainer, origin: Origin, measures: Mapping[str, Any]) -> Card:
    """The card of what a trainer has made of a store."""
    store, encoding = origin.store, origin.encoding
    return Card(
        name=origin.name,
        architecture=architecture,
        channels=encoding.channels,
        grid=store.grid.at_size(architecture.shape(architecture.stages - 1)),
        encoding=encoding.kind,
        intensity=copy.deepcopy(dict(store.intensity)),
        conditions=origin.conditions,
        training={
            "recipe": trainer.recipe.to_dict(),
            "images": trainer.seen,
            "cohort": store.name,
            "subjects": store.counts(),
            "subject_hashes": store.keys("train"),
            "code_version": __version__,
            "started_from": origin.started_from,
            "date": datetime.date.today().isoformat(),
            "measures": dict(measures),
        },
        licence=origin.licence,
    )
