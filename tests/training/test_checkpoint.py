"""Checkpoints: integrity and content; neither they nor snapshots influence the training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_fit import assert_same_end, best_distance, checkpoints, last_checkpoint, note_of, short

from napari_pgan.cli.app import main
from napari_pgan.training import recovery
from napari_pgan.training.checkpoint import is_intact


def test_any_flipped_bit_is_detected(short_run: Path, tmp_path: Path) -> None:
    path = checkpoints(short_run)[-1]
    content = path.read_bytes()
    note = content.index(b"seen") + len(b'seen\\": 6')  # a digit of the images seen
    for position in (4, note, content.index(b"rate_factor") + 16, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 1
        copy = tmp_path / path.name
        copy.write_bytes(damaged)
        assert not is_intact(copy), position
    assert is_intact(path)


def test_checkpoint_holds_the_whole_state(short_run: Path) -> None:
    tensors, note = last_checkpoint(short_run), note_of(checkpoints(short_run)[-1])
    parts = {name.partition(".")[0] for name in tensors}
    assert parts == {"generator", "critic", "mean", "generator_adam", "critic_adam", "trainer"}
    assert {"seen", "rate_factor", "split"} <= note.keys()
    assert note["extra"]["metrics"] == (short_run / "metrics.jsonl").stat().st_size
    assert note["extra"]["best"] == best_distance(short_run)


def test_snapshots_do_not_influence_the_training(short_run: Path, small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(short(small_store, run, "--set=watch.times=8")) == 0
    one, other = load_file(checkpoints(short_run)[-1]), load_file(checkpoints(run)[-1])
    assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())


def test_kill_between_best_model_and_its_checkpoint(short_run: Path, small_store: Path, tmp_path: Path) -> None:
    run, save = tmp_path / "run", recovery.save_checkpoint

    def killed(folder: Path, trainer: Any, extra: dict[str, Any]) -> Path:
        if extra["looked"] == 64:
            raise KeyboardInterrupt
        return save(folder, trainer, extra)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery, "save_checkpoint", killed)
        assert main(short(small_store, run)) == 130
    assert note_of(checkpoints(run)[-1])["extra"]["best"] is None
    assert best_distance(run) == best_distance(short_run)
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


def test_kill_while_the_plan_is_written(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / ".0badcafe.recipe.yaml").write_text("recipe: {na")
    assert main(short(small_store, run, "--images", "8")) == 0
    assert not (run / ".0badcafe.recipe.yaml").exists()


def test_checkpoint_of_another_version_is_refused(
    short_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(short_run, run)
    newest = checkpoints(run)[-1]
    newest.write_bytes(newest.read_bytes().replace(b'format\\": 2', b'format\\": 1'))
    assert main(short(small_store, run)) == 2
    assert "written by another version of napari-pgan" in capsys.readouterr().err
