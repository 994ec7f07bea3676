"""A training that is asked to stop leaves soon and at a checkpoint, whatever it does; a folder has one training."""

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
    """Send this process a signal in the middle of the so manieth call of a function; gives the calls that ended."""
    plain, begun, ended = getattr(owner, name), list[int](), list[int]()

    def interrupted(*arguments: Any, **more: Any) -> Any:
        begun.append(len(begun) + 1)
        if begun[-1] == call:
            signal.raise_signal(number)
        result = plain(*arguments, **more)
        ended.append(begun[-1])
        return result

    monkeypatch.setattr(owner, name, interrupted)
    return ended


@pytest.mark.parametrize(
    ("owner", "name", "call", "number", "broken_off"),
    [
        (planning, "open_store", 1, INT, True),
        (session, "calibrate", 1, TERM, True),
        (session, "make_reals", 2, TERM, True),
        (Validation, "distance", 1, TERM, True),
        (Validation, "distance", 2, INT, True),
        (recovery, "save_checkpoint", 3, TERM, False),
        (Trainer, "enter", 3, INT, False),
    ],
)
def test_a_signal_ends_what_it_may_and_nothing_else(
    owner: Any, name: str, call: int, number: signal.Signals, broken_off: bool, small_store: Path, short_run: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    handlers = [signal.getsignal(n) for n in CODES]
    with pytest.MonkeyPatch.context() as patch:
        ended = signal_in(patch, owner, name, number, call)
        assert main(short(small_store, run)) == CODES[number]
        assert (call in ended) is not broken_off
    assert [signal.getsignal(n) for n in CODES] == handlers
    assert not leftovers(run)
    if name != "open_store":
        assert status_of(run).get("state", "stopped") == "stopped"
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


def test_a_stop_leaves_the_model_as_it_stands(small_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        signal_in(patch, recovery, "save_checkpoint", TERM, 5)  # that of image 48, at the last phase's start
        assert main(short(small_store, run)) == 143
    assert status_of(run)["images"] == read_card(run / "model.safetensors").training["images"] == 56


def test_ctrl_c_twice_ends_it_at_once_and_costs_nothing_but_time(
    small_store: Path, short_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def twice(*_: Any) -> None:
        signal.raise_signal(INT)
        signal.raise_signal(INT)
        raise AssertionError("still here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "enter", twice)
        assert main(short(small_store, run)) == 130
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


def test_two_trainings_into_one_folder(forks: Forks, small_store: Path, tmp_path: Path) -> None:
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
