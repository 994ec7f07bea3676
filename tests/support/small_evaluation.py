"""A fast evaluation: an untrained model with the channels of the small store, and a briefly trained encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_pgan.evaluation import context
from napari_pgan.evaluation.context import Candidate, EvaluationRequest, Update
from napari_pgan.evaluation.evaluate import evaluate
from napari_pgan.evaluation.likeness.feature_encoder import train_encoder
from napari_pgan.evaluation.report.page import EvaluationReport
from napari_pgan.model import Architecture, Card, Condition, Encoding, Generator, Model, write_model
from napari_pgan.model.card import LIMITS
from napari_pgan.samples.sheet import write_sheet
from napari_pgan.schema import Channels
from napari_pgan.store import Store, open_store


def make_card(
    store: Store, channels: Channels | None = None, conditions: tuple[Condition, ...] = (), **training: Any
) -> Card:
    """The card of a model trained on the store's training subjects."""
    channels = channels or store.channels
    a = Architecture((4, 4), (8, 8, 8, 8), Encoding(channels).channel_count, 8, sum(c.size for c in conditions))
    training = {"subject_hashes": store.keys("train"), "images": 100, **training}
    return Card("tiny", a, channels, store.grid.at_size((32, 32)), conditions=conditions, training=training)


def make_model(card: Card, seed: int = 0) -> Model:
    """An untrained model, whose images are far from those of any patient."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Model(card, Generator(card.architecture))


def model_file(path: Path, card: Card, seed: int = 0) -> Path:
    write_model(path, card, make_model(card, seed).generator)
    return path


def shorten_encoder_training(patch: pytest.MonkeyPatch) -> None:
    """Shorten the training of the encoder, for tests that do not depend on its quality."""
    patch.setattr(context, "train_encoder", partial(train_encoder, steps=4))


@contextmanager
def silent(what: str, total: int, unit: str = "") -> Iterator[Update]:
    yield lambda done, note="": None


def make_request(store: Path, out: Path, measures: tuple[str, ...], **changed: Any) -> EvaluationRequest:
    opened = open_store(store)
    request = EvaluationRequest(Candidate(make_model(make_card(opened)), "tiny"), opened, out, measures, samples=24)
    return replace(request, **changed)


def run_evaluation(request: EvaluationRequest) -> EvaluationReport:
    def draw(path: Path, images: np.ndarray, labels: np.ndarray, rows: Sequence[str], *lines: str | None) -> None:
        write_sheet(
            path, images, labels, request.candidate.model.card.channels, rows, title=lines[0], foot=lines[1] or LIMITS
        )

    return evaluate(request, silent, lambda line: None, draw)
