"""When memory runs out during a training, batches are split further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_fit import assert_same_end, checkpoints, note_of, rows_of, short, status_of

from napari_pgan.cli.app import main
from napari_pgan.training.trainer import Trainer


def limit_memory(monkeypatch: pytest.MonkeyPatch, run: Path, halfway: bool, parts: int) -> None:
    """Steps at size 16 run out of memory unless the batch is split into so many parts."""
    original = Trainer.step

    def step(self: Trainer, *arguments: Any) -> dict[str, torch.Tensor]:
        if checkpoints(run) and self.seen >= 40 and self.split < parts:
            if halfway:
                with torch.no_grad():
                    self.critic.dense.weight.mul_(2)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "step", step)


def test_step_is_repeated_from_an_intact_state(
    monkeypatch: pytest.MonkeyPatch, small_store: Path, tmp_path: Path
) -> None:
    clean, torn = tmp_path / "clean", tmp_path / "torn"
    for run, halfway in ((clean, False), (torn, True)):
        with monkeypatch.context() as patch:
            limit_memory(patch, run, halfway, 2)
            assert main(short(small_store, run)) == 0
        assert status_of(run)["split"] == 2
        assert [(row["images"], row["split"]) for row in rows_of(run) if "split" in row] == [(32, 2)]
    assert_same_end(clean, torn)


def test_training_fails_if_single_images_do_not_fit(
    monkeypatch: pytest.MonkeyPatch, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    limit_memory(monkeypatch, run, False, 99)
    assert main(short(small_store, run)) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("Error: size 16 does not fit into the memory of cpu")
    assert note_of(checkpoints(run)[-1])["split"] == 8
    assert status_of(run)["state"] == "failed"
