"""Every recipe can be planned and trained, on suitable data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_pgan.cli.app import main
from napari_pgan.model import load_model
from napari_pgan.schema import Channels, DisplayGroup, Grid, Label
from napari_pgan.store import create_store
from napari_pgan.training.recipe import read_recipe, recipe_names

SMALL = [f"--set=sizes.{size}.{key}" for size in (4, 8, 16) for key in ("width=8", "batch=4")]
CHANNELS = {
    "beers2018-fundus": 4,
    "beers2018-mri": 5,
    "beers2018-mri-nomask": 4,
}  # others have 4 modalities and 3 labels


@pytest.fixture(scope="module")
def fundus_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in the form of colour photographs of 32 pixels with vessel labels."""
    address = tmp_path_factory.mktemp("fundus") / "fundus.zarr"
    rgb = ("red", "green", "blue")
    channels = Channels(rgb, (Label(1, "vessels", "#ffffff"),), (DisplayGroup("fundus", rgb),))
    ends = {modality: {"-1": "dark", "+1": "bright"} for modality in rgb}
    writer = create_store(address, name="fundus", channels=channels, grid=Grid((32, 32)), intensity=ends)
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (3, 1, 32, 32)).astype(np.float16)
    vessels = random.integers(0, 2, (1, 32, 32)).astype(np.uint8)
    writer.add_subject("a" * 16, images, vessels, spacing=(1, 1, 1), slices=(0,), brain_slices=(0, 0), split="train")
    return address


@pytest.fixture(params=recipe_names())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(name: str, small_store: Path, fundus_store: Path) -> Path:
    """Photographs for the fundus recipe, phantoms for the others."""
    return fundus_store if "fundus" in name else small_store


def test_every_recipe_passes_a_dry_run(
    name: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["fit", str(store), "--recipe", name, "--out", str(out), "--size", "16", *SMALL]
    assert main([*words, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    recipe, phases = read_recipe(name), [(row["size"], row["phase"]) for row in plan["rows"]]
    wanted = [
        (size, kind)
        for size, entry in recipe.sizes.items()
        for kind, length in (("fade", entry.fade), ("stable", entry.stable))
        if size <= 16 and length
    ]
    assert phases == wanted
    assert plan["channels"] == CHANNELS.get(name, 7)
    for row in plan["rows"]:
        entry = recipe.sizes[row["size"]]
        assert row["images"] == pytest.approx(entry.fade if row["phase"] == "fade" else entry.stable, abs=4)
        assert row["learning_rate"] == entry.learning_rate
        assert (row["width"], row["batch"], row["parts"]) == (8, 4, 1)
        assert row["seconds"] > 0
        assert 2**20 < row["bytes"] < 2**30
    assert plan["seconds"] == pytest.approx(sum(row["seconds"] for row in plan["rows"]))
    assert not out.exists()


def test_every_recipe_trains_a_few_steps_per_stage(name: str, store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    recipe = read_recipe(name)
    sizes = [size for size, entry in recipe.sizes.items() if size <= 16 and entry.fade + entry.stable]
    short = [f"--set=sizes.{size}.stable=12" for size in sizes] + [f"--set=sizes.{size}.fade=12" for size in sizes[1:]]
    seen = ["--set=watch.times=2", "--set=watch.samples=16"]
    words = ["fit", str(store), "--recipe", name, "--out", str(run), "--size", "16", *SMALL, *short, *seen]
    assert main(words) == 0
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["images"]) == ("finished", 12 * (2 * len(sizes) - 1))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sorted({row["size"] for row in rows}) == sizes
    assert np.isfinite([row[key] for row in rows for key in ("critic_loss", "generator_loss") if key in row]).all()
    batch = load_model(run / "model.safetensors").sample(seeds=range(2))
    assert batch.images.shape == (2, 3 if "fundus" in name else 4, 16, 16)
    assert np.isfinite(batch.images).all()
