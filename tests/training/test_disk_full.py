"""A full disk ends a training with one sentence; with space again, it continues to the same bytes."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_fit import assert_same_end, checkpoints, leftovers, short, status_of

from napari_pgan.cli.app import main
from napari_pgan.training import run_folder
from napari_pgan.training.checkpoint import is_intact
from napari_pgan.training.trainer import Trainer


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.name != "posix" or os.getuid() != 0:
        pytest.skip("only root may mount a small file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="module")
def half_run(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `short` training stopped after 40 of its images."""
    run = tmp_path_factory.mktemp("half") / "run"
    with pytest.MonkeyPatch.context() as patch:
        original = Trainer.step

        def step(self: Trainer, *arguments: Any) -> Any:
            if checkpoints(run) and self.seen == 32:
                (run / "stop").touch()
            return original(self, *arguments)

        patch.setattr(Trainer, "step", step)
        patch.setattr("napari_pgan.training.stopping._INTERVAL", -1.0)
        assert main(short(small_store, run)) == 0
    assert status_of(run)["images"] == 40
    return run


def content(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in checkpoints(run)}


def assert_stopped_by_full_disk(run: Path, message: str, why: str = "No space left on device") -> None:
    last = message.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert why in last
    assert "make room" in last
    assert "Traceback" not in message
    assert all(is_intact(path) for path in checkpoints(run))
    assert not leftovers(run)


@pytest.mark.parametrize("free", [0, 300, 800])  # KiB: none; less than a checkpoint (640 KiB); one checkpoint
def test_full_disk(
    free: int, small_disk: Path, half_run: Path, short_run: Path, small_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, ballast = small_disk / "run", small_disk / "ballast"
    shutil.copytree(half_run, run)
    before = content(run)
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - free * 1024))
    assert main(short(small_store, run)) == 2
    assert_stopped_by_full_disk(run, capsys.readouterr().err)
    assert (content(run) == before) is (free < 800)
    ballast.unlink()
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


@pytest.mark.parametrize("name", ["0000000064_16.png", "best.safetensors"])
def test_disk_full_while_a_file_is_written(
    name: str, half_run: Path, short_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, replace = tmp_path / "run", os.replace
    shutil.copytree(half_run, run)

    def full(source: Any, target: Any) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert main(short(small_store, run)) == 2
    assert_stopped_by_full_disk(run, capsys.readouterr().err)
    assert name in status_of(run)["reason"]
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


def test_disk_full_within_a_row_of_metrics(
    half_run: Path, short_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(half_run, run)
    whole = (run / "metrics.jsonl").read_bytes()

    def full(path: Path, mode: str, **options: Any) -> Any:
        if mode == "a":
            with open(path, mode) as file:
                file.write('{"images": 48, "min')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(path, mode, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder, "open", full, raising=False)
        assert main(short(small_store, run)) == 2
    assert_stopped_by_full_disk(run, capsys.readouterr().err)
    assert (run / "metrics.jsonl").read_bytes() == whole
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


@pytest.mark.skipif(os.name != "posix", reason="this system has no limit on the size of files")
def test_file_size_limit(
    half_run: Path, short_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource
    import signal

    run, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    shutil.copytree(half_run, run)
    before = content(run)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # less than a checkpoint takes
    try:
        assert main(short(small_store, run)) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert_stopped_by_full_disk(run, capsys.readouterr().err, "File too large")
    assert content(run) == before
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)


def test_disk_full_from_the_start(
    short_run: Path, small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"

    def full(source: Any, target: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert main(short(small_store, run)) == 2
    assert_stopped_by_full_disk(run, capsys.readouterr().err)
    assert main(short(small_store, run)) == 0
    assert_same_end(short_run, run)
