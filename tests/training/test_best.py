"""`best.safetensors`: of all models of a run, the one nearest to the validation subjects, since GANs decay."""

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
    """What becomes of the same model when it goes on with far too high a learning rate."""
    folder = tmp_path_factory.mktemp("best") / "decayed"
    fit(small_store, folder, "--init", str(run), "--set=sizes.16.learning_rate=0.05", "--images", "384")
    return folder


def looks(run: Path) -> list[dict[str, Any]]:
    """The rows in which the finished size was compared with the validation subjects."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "swd_val" in row and row["size"] == 16 and row["alpha"] == 1]


@pytest.mark.parametrize("which", ["run", "decayed"])
def test_the_best_model_is_that_of_the_least_distance_at_the_last_size(
    which: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(which)
    training = load_model(folder / "best.safetensors").card.training
    least = min(looks(folder), key=lambda row: row["swd_val"]["mean"])
    assert training["measures"]["swd_val"] == least["swd_val"]
    assert training["images"] == least["images"]
    assert len(looks(folder)) > 3


@pytest.mark.parametrize("which", ["run", "decayed"])
def test_the_file_holds_the_model_that_was_measured(
    which: str, small_store: Path, request: pytest.FixtureRequest
) -> None:
    model = load_model(request.getfixturevalue(which) / "best.safetensors")
    watch = Validation(open_store(small_store), model.encoding, (), SAMPLES)
    again = watch.distance(model.generator, 2, 1.0, 16)
    assert again == pytest.approx(model.card.training["measures"]["swd_val"], rel=1e-3)


def test_a_model_that_decays_leaves_its_best_days_behind(decayed: Path) -> None:
    rows = looks(decayed)
    best, newest = (load_model(decayed / f"{name}.safetensors").card.training for name in ("best", "model"))
    assert rows[-1]["swd_val"]["mean"] > 1.2 * min(row["swd_val"]["mean"] for row in rows)
    assert best["images"] < newest["images"] == rows[-1]["images"]


@pytest.mark.parametrize("which", ["run", "decayed"])
def test_resuming_does_not_change_which_is_best(
    which: str, small_store: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole, folder = request.getfixturevalue(which), tmp_path / "run"
    best = load_model(whole / "best.safetensors")
    shutil.copytree(whole, folder)
    oldest, *newer = sorted((folder / "checkpoints").iterdir())
    for checkpoint in newer:
        checkpoint.unlink()
    if int(oldest.stem) < best.card.training["images"]:
        (folder / "best.safetensors").unlink()  # it is made anew
    assert main(["fit", str(small_store), "--out", str(folder), "--resume"]) == 0
    again = load_model(folder / "best.safetensors")
    assert again.identity == best.identity
    assert again.card.training["measures"] == best.card.training["measures"]


def test_of_equals_the_first_is_kept(run: Path, small_store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "still"
    fit(small_store, folder, "--init", str(run), "--set=sizes.16.learning_rate=1e-30", "--images", "384")
    rows = looks(folder)
    assert len({row["swd_val"]["mean"] for row in rows}) == 1
    assert load_model(folder / "best.safetensors").card.training["images"] == rows[0]["images"]
