"""Preparation on a dask cluster, including the loss of workers."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_cohort import arrays, write_cohort, write_subject

from napari_pgan.cli.app import main
from napari_pgan.errors import InputError
from napari_pgan.imaging.preparation.cluster import Cluster
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.store import open_store

distributed = pytest.importorskip("distributed", reason="dask.distributed (the extra `cluster`) is not installed")

SMALL = Options(size=16)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A cluster of one worker in this process."""
    local = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0"
    )
    with local:
        yield local.scheduler_address


def _subjects(store: Path) -> dict[str, bytes]:
    """All files of a store except the root metadata, which has a duration."""
    files = [path for path in store.rglob("*") if path.is_file() and path != store / "zarr.json"]
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def test_cluster_and_local_stores_are_identical_and_only_missing_subjects_are_added(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = write_cohort(tmp_path / "cohort", 4)
    write_subject(cohort, "bad", t1=np.zeros_like(arrays()["t1"]))
    monkeypatch.chdir(tmp_path)  # workers stand elsewhere, so relative paths must not be theirs to find
    seen: list[tuple[str, int, int]] = []
    alone = prepare("cohort", tmp_path / "alone.zarr", SMALL)
    there = prepare(
        "cohort",
        "there.zarr",
        SMALL,
        Cluster(scheduler, pytest.fail),
        lambda what, done, total: seen.append((what, done, total)),
    )
    assert _subjects(tmp_path / "there.zarr") == _subjects(tmp_path / "alone.zarr")
    assert there.rejected == alone.rejected
    assert len(there.rejected) == 1
    assert (seen[0], seen[-1]) == (("survey", 0, 5), ("subjects", 5, 5))
    write_subject(cohort, "late", 9)
    assert main(["prepare", "cohort", "there.zarr", "--size", "16", "--scheduler", scheduler]) == 0
    assert "5 subjects" in (said := capsys.readouterr().err)
    assert "1 new" in said


def test_the_scheduler_sees_no_names(scheduler: str, tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 2)
    seen: set[str] = set()
    with distributed.Client(scheduler, set_as_default=False) as client:

        def record(what: str, done: int, total: int) -> None:
            seen.update(str(key) for key in client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.tasks]))

        prepare(str(cohort), tmp_path / "a.zarr", SMALL, Cluster(scheduler, pytest.fail), record)
    assert seen
    assert not any("CBICA" in key or "Brats" in key for key in seen)


def _interrupted(task: tuple[Path, float]) -> None:
    folder, seconds = task
    (folder / str(len([*folder.iterdir()]))).touch()
    time.sleep(seconds)


def test_pending_tasks_are_cancelled(scheduler: str, tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt), Cluster(scheduler, pytest.fail) as cluster:
        for _ in cluster.map(_interrupted, [(tmp_path, 0.1)] * 50):
            raise KeyboardInterrupt
    time.sleep(0.3)
    begun = len([*tmp_path.iterdir()])
    assert 1 <= begun < 10
    time.sleep(0.5)
    assert len([*tmp_path.iterdir()]) == begun


def _once_deadly(task: tuple[Path, int]) -> int:
    mark, number = task
    if number == 2 and not mark.exists():
        mark.touch()
        os._exit(9)
    return number


def _deadly(number: int) -> None:
    os._exit(number)


def test_a_dead_worker_is_reported_and_its_subject_reassigned(tmp_path: Path) -> None:
    messages: list[str] = []
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs="CRITICAL"
        ) as local,
        Cluster(local.scheduler_address, messages.append) as cluster,
    ):
        cluster.check(str(tmp_path))
        with pytest.raises(InputError, match=r"cannot access .*nowhere; all workers"):
            cluster.check(str(tmp_path / "nowhere"))
        assert sorted(cluster.map(_once_deadly, [(tmp_path / "died", i) for i in range(4)])) == [0, 1, 2, 3]
        assert "1 worker died or left" in messages[0]
        local.scheduler.allowed_failures = 0
        with pytest.raises(InputError, match="1 of 1 subjects repeatedly killed their worker"):
            list(cluster.map(_deadly, [2]))


def test_a_cluster_without_workers_is_reported(tmp_path: Path) -> None:
    with (
        distributed.LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0") as local,
        pytest.raises(InputError, match="has no workers; start some with `dask worker tcp://"),
        Cluster(local.scheduler_address, pytest.fail, patience=0.2),
    ):
        pass


def test_waiting_for_lost_workers_is_limited() -> None:
    messages: list[str] = []
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=":0"
        ) as local,
        Cluster(local.scheduler_address, messages.append, patience=0.5) as cluster,
    ):
        leave = threading.Timer(0.5, local.scale, [0])
        leave.start()
        with pytest.raises(InputError, match=r"no workers for 0 s|no workers for 1 s"):
            list(cluster.map(time.sleep, [0.1] * 200))
        leave.join()
    assert "1 worker died or left" in messages[0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--scheduler", "tcp://127.0.0.1:9"], "--scheduler tcp://127.0.0.1:9 does not answer as a dask scheduler"),
        (["--scheduler", "nonsense"], "--scheduler nonsense does not answer"),
        (["--scheduler", "tcp://127.0.0.1:9", "--workers", "2"], "not both"),
    ],
)
def test_bad_addresses_get_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
) -> None:
    monkeypatch.setattr("napari_pgan.imaging.preparation.cluster.CONNECT", 0.5)
    write_subject(tmp_path / "cohort", "a")
    assert main(["prepare", str(tmp_path / "cohort"), str(tmp_path / "a.zarr"), *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert sentence in line
    assert not (tmp_path / "a.zarr").exists()


def test_a_missing_dask_distributed_is_reported_with_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    write_subject(tmp_path / "cohort", "a")
    words = ["prepare", str(tmp_path / "cohort"), str(tmp_path / "a.zarr"), "--scheduler", "tcp://127.0.0.1:9"]
    assert main(words) == 2
    assert "pip install 'napari-pgan[cluster]'" in capsys.readouterr().err


def test_a_cluster_rejects_an_in_memory_store(scheduler: str, tmp_path: Path) -> None:
    write_subject(tmp_path / "cohort", "a")
    for workers in (Cluster(scheduler, pytest.fail), 2):
        with pytest.raises(InputError, match="memory of one process"):
            prepare(str(tmp_path / "cohort"), "memory://a.zarr", SMALL, workers)


def test_the_cluster_makes_a_store_that_opens(scheduler: str, tmp_path: Path) -> None:
    write_cohort(tmp_path / "cohort", 3)
    prepare(str(tmp_path / "cohort"), f"file://{tmp_path}/a.zarr", SMALL, Cluster(scheduler, pytest.fail))
    assert sum(open_store(f"file://{tmp_path}/a.zarr").counts().values()) == 3
