"""The command `evaluate`, on models and run folders."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from small_fit import checkpoints, rows_of

from napari_pgan.cli.app import main
from napari_pgan.cli.run_history import history_of, model_of_checkpoint
from napari_pgan.evaluation import context
from napari_pgan.evaluation.likeness import feature_encoder
from napari_pgan.model import load_model
from napari_pgan.model.model_file import read_card
from napari_pgan.training.run_folder import Run


@pytest.fixture(autouse=True)
def quick_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "train_encoder", partial(feature_encoder.train_encoder, steps=3))


def test_the_last_checkpoint_holds_the_newest_model(short_run: Path) -> None:
    run = Run(short_run)
    held = model_of_checkpoint(checkpoints(short_run)[-1], read_card(run.model), run.read_plan())
    a, b = (model.sample(seeds=range(4)).images for model in (held, load_model(run.model)))
    assert held.card.grid.shape == (16, 16)
    assert np.allclose(a, b, atol=1e-5)


def test_a_run_reports_its_notes_and_checkpoints(short_run: Path) -> None:
    history = history_of(Run(short_run))
    noted = [row["swd_val"]["mean"] for row in rows_of(short_run) if "swd_val" in row]
    assert [row["swd"] for row in history.distances] == noted
    assert len(noted) > 1
    assert [one.images for one in history.models] == sorted({int(path.stem) for path in checkpoints(short_run)})
    assert all(
        one.load().card.channels == read_card(short_run / "model.safetensors").channels for one in history.models
    )


def test_a_run_folder_gives_its_best_model_and_its_trends(
    short_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    command = ["evaluate", str(short_run), str(small_store), "--out", str(out), "--measures", "trends"]
    assert main([*command, "--samples", "16", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "report.json").read_text("utf-8"))
    assert report["about"]["model"]["identity"] == load_model(short_run / "best.safetensors").identity
    found = report["measures"]["trends"]["result"]
    assert [one["size"] for one in found["stages"]] == [8, 16]
    assert {one["images"] for one in found["run"]["models"]} == {int(p.stem) for p in checkpoints(short_run)}
    assert (out / "charts" / "trends-sizes.png").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--measures", "beauty"], "there is no measure 'beauty'"),
        (["--low-data", "default"], "--low-data needs the measure use"),
        (["--measures", "use"], "prepare the cohort with --size 64"),
    ],
)
def test_invalid_options_are_reported_in_one_line(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(["evaluate", "default", str(small_store), "--out", str(tmp_path / "r"), *more]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.count("\n") == 0
    assert not (tmp_path / "r").exists()


def test_a_missing_extra_is_named_with_its_install_command(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_pgan.evaluation import optional_packages

    monkeypatch.setattr(optional_packages, "find_spec", lambda name: None if name == "monai" else object())
    assert main(["evaluate", "default", str(small_store), "--out", str(tmp_path / "r")]) == 2
    assert "evaluation needs monai: pip install 'napari-pgan[eval]'" in capsys.readouterr().err
