"""What earlier versions wrote still opens: a store, a model, samples, a finished run and one stopped within a fade-in.

Each folder of ``tests/fixtures`` was written by the version that it is named after, from four phantoms at 16 pixels.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import napari_pgan
from napari_pgan.cli.app import main
from napari_pgan.samples import read_latents
from napari_pgan.store import open_store

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir())


@pytest.fixture(params=VERSIONS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what one version wrote."""
    return Path(shutil.copytree(FIXTURES / request.param, tmp_path / request.param))


def test_there_is_something_to_open() -> None:
    assert "v0.1" in VERSIONS


def test_a_store_holds_the_same_images(made: Path) -> None:
    store = open_store(made / "store.zarr")
    assert store.fingerprint == "ba0928d091cd8e01"
    assert {split: len(store.keys(split)) for split in ("train", "val", "test")} == {"train": 2, "val": 1, "test": 1}
    slices = store.load_slices(None)
    assert slices.images.shape == (63, 4, 16, 16)
    assert -1 <= slices.images.min() < slices.images.max() <= 1
    assert slices.labels.shape == (63, 3, 16, 16)


def test_a_model_gives_the_same_samples(made: Path) -> None:
    batch = napari_pgan.load_model(made / "finished" / "model.safetensors").sample(seeds=range(4))
    with np.load(made / "samples.npz") as before:
        np.testing.assert_allclose(batch.latents, before["latents"], atol=0, rtol=0)
        np.testing.assert_allclose(batch.images, before["images"], atol=1e-4)
        assert (batch.labels == before["labels"]).mean() >= 0.999


def test_latents_in_a_file_of_samples_are_read(made: Path) -> None:
    model = napari_pgan.load_model(made / "finished" / "model.safetensors")
    latents = read_latents(made / "samples.npz", model)
    np.testing.assert_array_equal(latents.latents, model.latents(range(4)))


def test_a_stopped_run_goes_on_to_its_end(made: Path) -> None:
    run = made / "stopped"
    rows = (run / "metrics.jsonl").read_text().splitlines()
    assert json.loads((run / "status.json").read_text())["images"] == 136
    assert main(["fit", str(made / "store.zarr"), "--out", str(run), "--resume"]) == 0
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["images"]) == ("finished", 256)
    assert (run / "metrics.jsonl").read_text().splitlines()[: len(rows)] == rows
    assert napari_pgan.load_model(run / "model.safetensors").card.training["images"] == 256


def test_a_finished_run_stays_as_it_is(made: Path) -> None:
    run = made / "finished"
    model = (run / "model.safetensors").read_bytes()
    assert main(["fit", str(made / "store.zarr"), "--out", str(run), "--resume"]) == 0
    assert (run / "model.safetensors").read_bytes() == model


@pytest.mark.parametrize("what", ["store.zarr", "finished", "stopped", "finished/model.safetensors"])
def test_info_tells_what_each_is(made: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(made / what), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
