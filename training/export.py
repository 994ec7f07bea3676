"""Export the EMA generator and the critic of a training as a model file."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from napari_pgan import __version__
from napari_pgan.model import Card, Condition, Critic, Generator, write_model
from napari_pgan.model.refit import refit_lower_heads, store_mean_map
from napari_pgan.store import Store
from napari_pgan.training.run_folder import RunPlan
from napari_pgan.training.schedule import Moment
from napari_pgan.training.trainer import Trainer

Network = TypeVar("Network", Generator, Critic)


def shown_stage(moment: Moment) -> int:
    """Return the stage to export: the newest, or the one below in the first half of a fade-in."""
    return moment.phase.stage - (moment.alpha < 0.5)


def truncate_network(network: Network, stage: int) -> Network:
    """Return a copy of a generator or critic, on the CPU, that ends at a stage."""
    a = replace(network.architecture, widths=network.architecture.widths[: stage + 1])
    with torch.random.fork_rng(devices=[]):
        copied = type(network)(a)
    own = copied.state_dict()
    copied.load_state_dict({k: v.detach().cpu() for k, v in network.state_dict().items() if k in own})
    return copied.eval().requires_grad_(False)


def export_model(
    path: Path,
    trainer: Trainer,
    moment: Moment,
    plan: RunPlan,
    store: Store,
    conditions: tuple[Condition, ...],
    measures: Mapping[str, Any],
) -> None:
    """Write the EMA generator, with its mean first feature map and refitted lower heads, the critic and the card."""
    stage, encoding = shown_stage(moment), trainer.encoding
    generator = truncate_network(trainer.ema, stage)
    with torch.random.fork_rng(devices=[]):
        store_mean_map(generator)
        refit_lower_heads(generator, label_channels=encoding.label_count if encoding.kind == "onehot" else 0)
    shape = generator.architecture.shape(stage)
    card = Card(
        name=f"{store.name} {max(shape)}",
        architecture=generator.architecture,
        channels=encoding.channels,
        grid=store.grid.at_size(shape),
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
            "started_from": plan.init,
            "date": datetime.date.today().isoformat(),
            "measures": dict(measures),
        },
        licence=plan.licence,
    )
    write_model(path, card, generator, truncate_network(trainer.critic, stage))
