"""`best.safetensors`: the model of a run that is nearest to the validation subjects."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from napari_pgan.cli.app import main
from napari_pgan.model import load_model
from napari_pgan.store import open_store
from napari_pgan.training.validation import Validation

SMALL = [f"--set=sizes.{size}.{key}" for size in (4, 8, 16) for key in ("width=8", "batch=8")]
LENGTHS = ["--set=sizes.8.stable=128", "--set=sizes.16.fade=128", "--set=sizes.16.stable=256"]
SAMPLES = 48


def fit(store: Path, out: Path, *more: str) -> None:
    command = ["fit", str(store), "--recipe", "default", "--out", str(out), "--size", "16", *SMALL, *LENGTHS]
    assert main([*command, "--set=watch.times=12", f"--set=watch.samples={SAMPLES}", *more]) == 0


@pytest.fixture(scope="module")
def run(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("best") / "run"
    fit(small_store, folder)
    return folder


@pytest.fixture(scope="module")
def decayed(run: Path, small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of the same model with far too high a learning rate."""
    folder = tmp_path_factory.mktemp("best") / "decayed"
    fit(small_store, folder, "--init", str(run), "--set=sizes.16.learning_rate=0.05", "--images", "384")
    return folder


def snapshots(run: Path) -> list[dict[str, Any]]:
    """The rows with a distance to the validation subjects at the last size after its fade-in."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "swd_val" in row and row["size"] == 16 and row["alpha"] == 1]


@pytest.mark.parametrize("which", ["run", "decayed"])
def test_best_model_has_the_least_distance_at_the_last_size(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    training = load_model(folder / "best.safetensors").card.training
    least = min(snapshots(folder), key=lambda row: row["swd_val"]["mean"])
    assert training["measures"]["swd_val"] == least["swd_val"]
    assert training["images"] == least["images"]
    assert len(snapshots(folder)) > 3


@pytest.mark.parametrize("which", ["run", "decayed"])
def test_file_holds_the_measured_model(which: str, small_store: Path, request: pytest.FixtureRequest) -> None:
    model = load_model(request.getfixturevalue(which) / "best.safetensors")
    validation = Validation(open_store(small_store), model.encoding, (), SAMPLES)
    again = validation.distance(model.generator, 2, 1.0, 16)
    assert again == pytest.approx(model.card.training["measures"]["swd_val"], rel=1e-3)


def test_best_model_is_kept_when_training_decays(decayed: Path) -> None:
    rows = snapshots(decayed)
    best, newest = (load_model(decayed / f"{name}.safetensors").card.training for name in ("best", "model"))
    assert rows[-1]["swd_val"]["mean"] > 1.2 * min(row["swd_val"]["mean"] for row in rows)
    assert best["images"] < newest["images"] == rows[-1]["images"]


@pytest.mark.parametrize("which", ["run", "decayed"])
def test_resume_keeps_the_best_model(
    which: str, small_store: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole, folder = request.getfixturevalue(which), tmp_path / "run"
    best = load_model(whole / "best.safetensors")
    shutil.copytree(whole, folder)
    oldest, *newer = sorted((folder / "checkpoints").iterdir())
    for checkpoint in newer:
        checkpoint.unlink()
    if int(oldest.stem) < best.card.training["images"]:
        (folder / "best.safetensors").unlink()  # the resumed training writes it again
    assert main(["fit", str(small_store), "--out", str(folder), "--resume"]) == 0
    again = load_model(folder / "best.safetensors")
    assert again.identity == best.identity
    assert again.card.training["measures"] == best.card.training["measures"]


def test_first_of_equal_models_is_kept(run: Path, small_store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "still"
    fit(small_store, folder, "--init", str(run), "--set=sizes.16.learning_rate=1e-30", "--images", "384")
    rows = snapshots(folder)
    assert len({row["swd_val"]["mean"] for row in rows}) == 1
    assert load_model(folder / "best.safetensors").card.training["images"] == rows[0]["images"]
