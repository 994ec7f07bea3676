"""Fixtures: trainings shared by several folders of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import Forks
from small_fit import short

from napari_pgan.cli.app import main
from napari_pgan.training import session
from napari_pgan.training.calibrate import Cost

COST = Cost(0.01, True)


@pytest.fixture(autouse=True, scope="session")
def quick_start() -> Iterator[None]:
    """Skip the calibration in this process, which takes longer than the trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "calibrate", lambda _, schedule: {(p.stage, p.fading): COST for p in schedule.phases})
        yield


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Starts trainings as processes of their own."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks at processes through /proc")
    with Forks() as started:
        yield started


@pytest.fixture(scope="session")
def short_run(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `short` training without interruption."""
    run = tmp_path_factory.mktemp("short") / "run"
    assert main(short(small_store, run)) == 0
    return run
