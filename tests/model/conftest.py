"""Small networks shared by the tests of the model."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.model import Architecture, Card, Generator, Model
from napari_pgan.model.refit import store_mean_map
from napari_pgan.schema import Channels, Grid, Label

BRATS = Channels(
    ("t1", "t1ce", "t2", "flair"),
    (Label(1, "necrotic core", "#4daf4a"), Label(2, "oedema", "#ffd92f"), Label(4, "enhancing tumour", "#e41a1c")),
)


@pytest.fixture(scope="session")
def small_architecture() -> Architecture:
    return Architecture((4, 5), (16, 16, 8), 7, latent=12)


@pytest.fixture(scope="session")
def small_model(small_architecture: Architecture) -> Model:
    torch.manual_seed(0)
    generator = Generator(small_architecture)
    store_mean_map(generator, 2000)
    return Model(Card("small", small_architecture, BRATS, Grid((16, 20), (2.0, 2.0), "PL")), generator)


@pytest.fixture(scope="session")
def small_card(small_architecture: Architecture) -> Card:
    return Card("small", small_architecture, BRATS, Grid((16, 20), (2.0, 2.0), "PL"))
