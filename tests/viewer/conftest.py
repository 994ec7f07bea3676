"""Small models, never trained: enough to see where their numbers go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_pgan.model import Architecture, Card, Condition, Generator, Model, load_model, write_model
from napari_pgan.model.label_encoding import Encoding
from napari_pgan.phantom import PhantomSubject, make_subject
from napari_pgan.schema import Channels, DisplayGroup, Grid, Label

BRATS = Channels(
    ("t1", "t1ce", "t2", "flair"),
    (
        Label(1, "necrotic core", "#4daf4a"),
        Label(2, "oedema", "#ffd92f"),
        Label(4, "enhancing tumour", "#e41a1c"),
    ),
)
FUNDUS = Channels(
    ("red", "green", "blue"), (Label(1, "vessel", "#00ffff"),), (DisplayGroup("photo", ("red", "green", "blue")),)
)
AXIAL = Grid((16, 16), (3.0, 2.0), "PL", 1.5)


def make_model(
    path: Path,
    channels: Channels = BRATS,
    grid: Grid = AXIAL,
    name: str = "small",
    conditions: tuple[Condition, ...] = (),
    seed: int = 0,
) -> Path:
    """Write a model with random weights for a grid of 16 pixels a side."""
    import torch

    torch.manual_seed(seed)
    count = Encoding(channels, "onehot").channel_count
    architecture = Architecture(
        tuple(n // 4 for n in grid.shape), (8, 8, 8), count, latent=8, conditions=sum(c.size for c in conditions)
    )
    training = {"cohort": "nobody <b>", "subjects": {"train": 7}, "images": 12345, "date": "2026-01-01"}
    card = Card(name, architecture, channels, grid, conditions=conditions, training=training, licence="CC0")
    write_model(path, card, Generator(architecture))
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "small.safetensors")


@pytest.fixture(scope="session")
def fundus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "fundus.safetensors", FUNDUS, Grid((16, 16)), "fundus")


@pytest.fixture(scope="session")
def model(model_file: Path) -> Model:
    return load_model(model_file)


@pytest.fixture(scope="session")
def make_session_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Model]:
    def make(**options: object) -> Model:
        return load_model(make_model(tmp_path_factory.mktemp("models") / "other.safetensors", **options))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def subject() -> PhantomSubject:
    return make_subject(2, 32)


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is kept from one start to the next is kept apart from the person's own."""
    folder = tmp_path / "configuration"
    monkeypatch.setattr("napari_pgan.viewer.model_files.platformdirs.user_config_path", lambda *a, **k: folder)
    return folder
