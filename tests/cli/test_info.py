"""The command `info` on models, stores, runs and other files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pgan.cli.app import main
from napari_pgan.model import Architecture, Card, Condition, Critic, Generator, load_model, write_model
from napari_pgan.schema import Channels, Grid, Label

CHANNELS = Channels(("t1", "flair"), (Label(2, "oedema", "#ffd92f"),))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    architecture = Architecture((4, 5), (8, 8), 3, latent=6, conditions=1)
    card = Card(
        "small", architecture, CHANNELS, Grid((8, 10), (2.0, 2.0), "PL"), conditions=(Condition("position"),),
        training={"images": 1200, "cohort": "BraTS", "subjects": {"train": 3}}, licence="CC0",
        intensity={"t1": {"-1": "air", "+1": "fat"}},
    )  # fmt: skip
    write_model(tmp_path / "m.safetensors", card, Generator(architecture))
    return tmp_path / "m.safetensors"


def test_a_model_is_described_for_people(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model)]) == 0
    output = capsys.readouterr().out
    for fact in (
        "a model, 'small'", "8×10 pixels of 2 × 2 mm", "t1, flair", "2 oedema", "position: 0 to 1", "-1 is air",
        "1,200 images", "cohort BraTS", "train 3", "CC0", "not for diagnosis", load_model(model).identity,
    ):  # fmt: skip
        assert fact in output, fact


def test_a_model_is_described_for_machines(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["kind"] == "model"
    assert output["identity"] == load_model(model).identity
    assert output["card"] == load_model(model).card.to_dict()
    assert output["critic"] is False
    assert output["parameters"] == sum(p.numel() for p in load_model(model).generator.parameters())


def test_a_critic_in_the_file_is_reported(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model)]) == 0
    assert "critic      none in the file" in capsys.readouterr().out
    loaded = load_model(model)
    write_model(model, loaded.card, loaded.generator, Critic(loaded.card.architecture))
    assert main(["info", str(model)]) == 0
    assert "critic      in the file" in capsys.readouterr().out
    assert main(["info", str(model), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["critic"] is True
    assert output["identity"] == loaded.identity


def test_a_paused_run_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_pgan.training.recipe import read_recipe
    from napari_pgan.training.run_folder import Run, RunPlan

    run = Run(tmp_path / "run")
    run.write_plan(RunPlan(read_recipe("default"), "cohort.zarr", "ab12", 64, 1000, "w"))
    assert main(["info", str(run.folder)]) == 0
    assert "none yet" in capsys.readouterr().out
    status = {
        "seconds_left": 1320,
        "images_per_second": 39.2,
        "device": "cpu",
        "rate_factor": 0.5,
        "retreats": [{"to": 9}],
    }
    run.write_status(state="training", images=250, total=1000, size=32, alpha=0.45, **status)
    run.append_metrics({"images": 100, "swd_val": {"32x32": 9.0, "mean": 8.0}})
    run.append_metrics({"images": 200, "loss": 0.5})
    assert main(["info", str(run.folder)]) == 0
    output = capsys.readouterr().out
    for fact in ("a run of the recipe 'default' on cohort.zarr", "training, 250 of 1,000 images (25 %)", "8.00"):
        assert fact in output, fact
    for fact in ("39 images/s on cpu, 22 min left", "faded in by 45%", "1, now at 0.5 times the learning rate"):
        assert fact in output, fact
    run.write_status(state="failed", reason="the disk is full", images=250, total=1000, size=32)
    assert main(["info", str(run.folder)]) == 0
    assert "failed (the disk is full), 250 of" in capsys.readouterr().out
    assert main(["info", str(run.folder), "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["kind"] == "run"
    assert read["status"]["images"] == 250
    assert read["recipe"] == json.loads(json.dumps(read_recipe("default").to_dict()))


def test_a_store_is_described(small_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["info", str(small_store)]) == 0
    assert "t1, t1ce, t2, flair" in capsys.readouterr().out
    assert main(["info", str(small_store), "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["kind"] == "store"
    assert sum(output["subjects"].values()) == 6
    assert sum(output["slices"].values()) > 0
    assert output["grid"]["shape"] == [32, 32]


@pytest.mark.parametrize("kind", ["missing", "text", "folder", "pickle", "broken zarr", "broken run", "array"])
def test_anything_else_is_refused_in_one_line(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "thing"
    if kind == "text":
        path.write_text("hello")
    elif kind == "pickle":
        torch.save({}, path)
    elif kind == "array":
        path = tmp_path / "a.npy"
        np.save(path, np.zeros(3))
    elif kind != "missing":
        path.mkdir()
        if kind == "broken zarr":
            (path / "zarr.json").write_text("{")
        if kind == "broken run":
            (path / "recipe.yaml").write_text("- 1")
    assert main(["info", str(path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert path.name in lines[0]
