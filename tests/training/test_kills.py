"""A training that is killed at any moment and resumed ends in the same bytes as one without interruption."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from killing import Command, Forks, kill_and_resume
from small_fit import assert_same_end, fit, short

from napari_pgan.cli.app import main


def test_five_kills_change_nothing(forks: Forks, small_store: Path, tmp_path: Path) -> None:
    run, plain = tmp_path / "run", tmp_path / "plain"
    assert forks.start(fit(small_store, plain)).wait() == 0
    hit = kill_and_resume(forks.start, fit(small_store, run), run, 5, random.Random(3))
    assert hit["kills"] == 5
    assert_same_end(plain, run)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["karras2018", "beers2018-mri"])
def test_kills_change_nothing_in_published_methods(
    recipe: str, forks: Forks, small_store: Path, tmp_path: Path
) -> None:
    """Alternating updates, penalties in every step, EMA per step or none, optimisers that are reset."""
    first = ("--set=sizes.4.stable=32", "--set=sizes.4.fade=0", "--images", "128")
    run, plain = tmp_path / "run", tmp_path / "plain"
    command, whole = ([recipe if a == "default" else a for a in fit(small_store, out, *first)] for out in (run, plain))
    assert forks.start(whole).wait() == 0
    hit = kill_and_resume(forks.start, command, run, 2, random.Random(5))
    assert hit["kills"] == 2
    assert_same_end(plain, run)


@pytest.mark.slow
def test_a_hundred_kills_change_nothing(small_store: Path, tmp_path: Path) -> None:
    chance, hit, runs = random.Random(0), Counter[str](), 0
    plain = tmp_path / "plain"
    assert Command(fit(small_store, plain)).wait() == 0
    while hit["kills"] < 100:
        run = tmp_path / f"run{runs}"
        hit += kill_and_resume(Command, fit(small_store, run), run, 100 - hit["kills"], chance)
        assert_same_end(plain, run)
        runs += 1
    print(f"{runs} trainings, all with the same result as without kills; {dict(hit)}")
    assert hit["within a fade-in"] >= 10
    assert hit["within a write"] >= 10


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "stop file"])
def test_stop_changes_nothing(
    how: signal.Signals | str, forks: Forks, small_store: Path, short_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = forks.start(short(small_store, run))
    while process.running and not (run / "metrics.jsonl").is_file():
        pass
    if isinstance(how, str):
        (run / "stop").touch()
    else:
        process.send(how)
    assert process.wait() == {signal.SIGTERM: 143, signal.SIGINT: 130}.get(how, 0)
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)
