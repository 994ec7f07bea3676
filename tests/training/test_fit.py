"""`fit` from a store to a model: run folder, resume, refused requests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_fit import SMALL, assert_same_end, fit, last_checkpoint, short, status_of

from napari_pgan.cli.app import main
from napari_pgan.model import load_model
from napari_pgan.model.model_file import read_card
from napari_pgan.store import open_store


@pytest.fixture(scope="module")
def finished(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("fit") / "run"
    assert main(fit(small_store, run)) == 0
    return run


def test_run_folder_is_complete(finished: Path, small_store: Path) -> None:
    status = json.loads((finished / "status.json").read_text())
    assert status["state"] == "finished"
    assert status["images"] == status["total"] == 64 + 64 + 64 + 64
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [row["images"] for row in rows] == sorted(row["images"] for row in rows)
    assert any("swd_val" in row for row in rows)
    assert list((finished / "preview").glob("*_16.png"))
    model = load_model(finished / "model.safetensors")
    batch = model.sample(seeds=range(2))
    assert batch.images.shape == (2, 4, 16, 16)
    store = open_store(str(small_store))
    assert model.card.training["subject_hashes"] == store.keys("train")
    assert model.card.training["images"] == status["total"]
    assert model.card.grid.spacing == store.grid.at_size((16, 16)).spacing
    assert (finished / "best.safetensors").is_file()


def test_training_changes_all_networks(finished: Path, small_store: Path, tmp_path: Path) -> None:
    assert main(fit(small_store, tmp_path / "short", "--images", "16")) == 0
    early, late = last_checkpoint(tmp_path / "short"), last_checkpoint(finished)
    parts = ["generator.dense", "generator.blocks.1.refine", "critic.tails.2", "mean.conv"]
    for name in (f"{part}.weight" for part in parts):
        assert not torch.equal(early[name], late[name]), name


def test_seed_determines_the_result(finished: Path, small_store: Path, tmp_path: Path) -> None:
    assert main(fit(small_store, tmp_path / "again")) == 0
    assert_same_end(finished, tmp_path / "again")
    assert main(fit(small_store, tmp_path / "other", "--seed", "1")) == 0
    name = "generator.dense.weight"
    assert not torch.equal(last_checkpoint(finished)[name], last_checkpoint(tmp_path / "other")[name])


def test_resume_after_a_kill_is_byte_identical(finished: Path, small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "napari_pgan"]
    process = subprocess.Popen([*command, *fit(small_store, run)], stderr=subprocess.PIPE)
    try:
        wait_for_images(run, 100, process)
        process.kill()
        process.wait(60)
    finally:
        process.kill()
        process.communicate()
    assert status_of(run)["state"] == "training"
    assert main(fit(small_store, run)) == 0
    assert_same_end(finished, run)


def wait_for_images(run: Path, images: int, process: subprocess.Popen[bytes]) -> None:
    metrics, until = run / "metrics.jsonl", time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        lines = metrics.read_text().splitlines() if metrics.is_file() else []
        if lines and lines[-1].endswith("}") and json.loads(lines[-1])["images"] >= images:
            return
        time.sleep(0.01)
    assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""


def test_damaged_newest_checkpoint_is_skipped(finished: Path, small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    newest = sorted((run / "checkpoints").glob("*.safetensors"))[-1]
    content = bytearray(newest.read_bytes())
    content[-100] ^= 1
    newest.write_bytes(content)
    assert main(fit(small_store, run)) == 0
    assert_same_end(finished, run)


def test_run_without_checkpoints_is_refused(
    finished: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "checkpoints")
    assert main(fit(small_store, run)) == 2
    assert "its checkpoints are gone" in capsys.readouterr().err
    assert (run / "best.safetensors").read_bytes() == (finished / "best.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", "0"], ["--images", "1"]),
        (["--images", "99", "--minutes", "1"], ["not both"]),
        (["--size", "64"], ["32"]),
        (["--size", "12"], ["12"]),
        (["--recipe", "defualt"], ["did you mean 'default'"]),
        (["--device", "warp"], ["warp", "cpu"]),
        (["--set", "loss.gama=1"], ["gamma"]),
        (["--init", "nowhere.safetensors"], ["nowhere.safetensors"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    options: list[str], words: list[str], small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", str(small_store), "--out", str(tmp_path / "run"), *SMALL, "--size", "16", *options]
    assert main(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert message.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in message
    for word in words:
        assert word in message


def test_another_training_in_the_same_folder_is_refused(
    finished: Path, small_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "model.safetensors").read_bytes()
    assert main(fit(small_store, finished, "--seed", "9")) == 2
    assert "contains another training" in capsys.readouterr().err
    assert (finished / "model.safetensors").read_bytes() == before


def test_refused_request_leaves_the_folder_usable(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for wrong in (["--size", "12"], ["--minutes", "nan"], ["--set", "optimizer.betas=[1, 1]"]):
        assert main(["fit", str(small_store), "--out", str(run), *wrong]) == 2
    assert main(fit(small_store, run, "--images", "16")) == 0


def test_resume_refuses_other_options(finished: Path, small_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(small_store), "--out", str(finished), "--resume", "--images", "900", "--seed", "5"]) == 2
    assert "leave out --images, --seed" in capsys.readouterr().err
    assert main(["fit", str(small_store), "--out", str(finished), "--resume"]) == 0


def test_recipe_yaml_of_a_run_is_a_recipe(finished: Path, small_store: Path, tmp_path: Path) -> None:
    command = ["fit", str(small_store), "--recipe", str(finished / "recipe.yaml"), "--size", "16"]
    assert main([*command, "--out", str(tmp_path / "again")]) == 0
    assert_same_end(finished, tmp_path / "again")


def test_length_is_rounded_to_whole_batches(small_store: Path, tmp_path: Path) -> None:
    assert main(fit(small_store, tmp_path / "run", "--images", "100")) == 0
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["images"] == status["total"] == 96


def test_folder_with_other_files_is_refused(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(fit(small_store, tmp_path)) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_training_starts_from_a_model(finished: Path, small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(fit(small_store, run, "--init", str(finished / "model.safetensors"), "--images", "8")) == 0
    start, end = load_model(finished / "model.safetensors"), load_model(run / "model.safetensors")
    moved = (start.generator.dense.weight - end.generator.dense.weight).abs().mean()
    fresh = start.generator.dense.weight.abs().mean()
    assert moved < 0.2 * fresh


def test_card_lists_only_the_subjects_used(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(short(small_store, out, "--subjects", "2")) == 0
    train = open_store(small_store).keys("train")
    assert read_card(out / "model.safetensors").training["subject_hashes"] == train[:2]
    assert main(["fit", str(small_store), "--out", str(out), "--resume"]) == 0
    assert main(short(small_store, out)) == 2
    assert "contains another training" in capsys.readouterr().err
    assert main(short(small_store, tmp_path / "other", "--subjects", "9")) == 2
    assert f"has {len(train)} training subjects, not 9" in capsys.readouterr().err
