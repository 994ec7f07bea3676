"""Signals and the stop file end a training soon and at a checkpoint; a folder has one training."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from killing import Forks
from small_fit import assert_same_end, fit, leftovers, short, status_of

from napari_pgan.cli.app import main
from napari_pgan.model.model_file import read_card
from napari_pgan.training import planning, recovery, session
from napari_pgan.training.trainer import Trainer
from napari_pgan.training.validation import Validation

TERM, INT = signal.SIGTERM, signal.SIGINT
CODES = {TERM: 143, INT: 130}


def signal_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: signal.Signals, call: int) -> list[int]:
    """Send this process a signal within the n-th call of a function; returns the calls that completed."""
    original, started, completed = getattr(owner, name), list[int](), list[int]()

    def interrupted(*arguments: Any, **more: Any) -> Any:
        started.append(len(started) + 1)
        if started[-1] == call:
            signal.raise_signal(number)
        result = original(*arguments, **more)
        completed.append(started[-1])
        return result

    monkeypatch.setattr(owner, name, interrupted)
    return completed


@pytest.mark.parametrize(
    ("owner", "name", "call", "number", "is_interrupted"),
    [
        (planning, "open_store", 1, INT, True),
        (session, "calibrate", 1, TERM, True),
        (session, "RealDataset", 2, TERM, True),
        (Validation, "distance", 1, TERM, True),
        (Validation, "distance", 2, INT, True),
        (recovery, "save_checkpoint", 3, TERM, False),
        (Trainer, "begin_phase", 3, INT, False),
    ],
)
def test_signal_interrupts_only_interruptible_work(
    owner: Any, name: str, call: int, number: signal.Signals, is_interrupted: bool, small_store: Path, short_run: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    handlers = [signal.getsignal(n) for n in CODES]
    with pytest.MonkeyPatch.context() as patch:
        completed = signal_in(patch, owner, name, number, call)
        assert main(short(small_store, run)) == CODES[number]
        assert (call in completed) is not is_interrupted
    assert [signal.getsignal(n) for n in CODES] == handlers
    assert not leftovers(run)
    if name != "open_store":
        assert status_of(run).get("state", "stopped") == "stopped"
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


def test_stop_writes_the_current_model(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        signal_in(patch, recovery, "save_checkpoint", TERM, 5)  # the one at image 48, where the last phase starts
        assert main(short(small_store, run)) == 143
    assert status_of(run)["images"] == read_card(run / "model.safetensors").training["images"] == 56


def test_second_ctrl_c_ends_at_once_without_damage(small_store: Path, short_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def twice(*_: Any) -> None:
        signal.raise_signal(INT)
        signal.raise_signal(INT)
        raise AssertionError("still here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "begin_phase", twice)
        assert main(short(small_store, run)) == 130
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


def test_second_training_in_a_folder_is_refused(forks: Forks, small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = forks.start(fit(small_store, run, "--images", "100000"))
    until = time.monotonic() + 120
    while not (run / "metrics.jsonl").is_file():
        assert first.running
        assert time.monotonic() < until
        time.sleep(0.01)
    second = forks.start(fit(small_store, run, "--images", "100000"))
    assert second.wait() == 2
    assert first.running
    rows = (run / "metrics.jsonl").read_bytes().count(b"\n")
    while (run / "metrics.jsonl").read_bytes().count(b"\n") < rows + 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    first.send(TERM)
    assert first.wait() == 143
