"""Stores at fsspec addresses are prepared, continued, read and used for training like local ones."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from small_cohort import write_cohort, write_subject

from napari_pgan.cli.app import main
from napari_pgan.errors import InputError
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.store import extend_store, is_free, open_store

SMALL = Options(size=16, name="a")


class _Objects(MemoryFileSystem):
    """A simulated object store: no folders, no renames, cached listings, interruptible connection."""

    protocol = "objects"
    store: dict[str, object] = {}  # noqa: RUF012  (as the class above)
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    listed: dict[str, object] = {}  # noqa: RUF012
    reachable = True

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("objects://", "memory://"))

    def mv(self, *_: object, **__: object) -> None:
        raise NotImplementedError("object stores rename nothing")

    def ls(self, path: str, detail: bool = True, **more: object) -> list:
        self._answer()
        if path not in self.listed:
            self.listed[path] = super().ls(path, detail=True, **more)
        found = self.listed[path]
        return found if detail else [entry["name"] for entry in found]  # type: ignore[attr-defined, return-value]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.listed.clear()

    def cat_file(self, path: str, *arguments: object, **more: object) -> bytes:
        self._answer()
        return super().cat_file(path, *arguments, **more)

    def _answer(self) -> None:
        if not self.reachable:
            raise OSError(errno.EHOSTUNREACH, "No route to host")


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Objects]]:
    fsspec.register_implementation("objects", _Objects, clobber=True)
    yield _Objects
    _Objects.store.clear()
    _Objects.listed.clear()


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return write_cohort(tmp_path / "cohort", 4)


@pytest.mark.parametrize("protocol", ["memory", "objects", "file"])
def test_remote_and_local_stores_are_identical_and_only_missing_subjects_are_added(
    objects: type[_Objects], cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    address = f"{protocol}://{tmp_path if protocol == 'file' else uuid.uuid4().hex}/far.zarr"
    prepare(str(cohort), tmp_path / "near.zarr", SMALL)
    prepare(str(cohort), address, SMALL)
    assert open_store(address).fingerprint == open_store(tmp_path / "near.zarr").fingerprint
    write_subject(cohort, "late", 9)
    lost = open_store(address).keys()[0]
    torn = fsspec.filesystem(protocol)
    torn.rm(f"{address}/{lost}/zarr.json")
    done = []
    monkeypatch.setattr("napari_pgan.imaging.preparation.prepare.extend_store", _noting(done))
    assert prepare(str(cohort), address, SMALL).new == 2
    assert len(done) == 2
    assert lost in done
    assert prepare(str(cohort), address, SMALL).new == 0
    assert len(done) == 2
    assert len(open_store(address).keys()) == 5


def _noting(done: list[str]):  # type: ignore[no-untyped-def]
    def extended(address: str):  # type: ignore[no-untyped-def]
        writer = extend_store(address)
        add = writer.add_subject

        def noted(key: str, *arguments: object, **named: object) -> None:
            done.append(key)
            add(key, *arguments, **named)  # type: ignore[arg-type]

        writer.add_subject = noted  # type: ignore[method-assign, assignment]
        return writer

    return extended


def test_the_finished_marker_is_written_last(
    objects: type[_Objects], cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, bool]] = []
    pipe = _Objects.pipe_file

    def noted(self: _Objects, path: str, value: bytes, **more: object) -> None:
        written.append((path, b'"finished": true' in value))
        pipe(self, path, value, **more)

    monkeypatch.setattr(_Objects, "pipe_file", noted)
    monkeypatch.setattr("napari_pgan.store.writer.StoreWriter.assign_splits", lambda *_: {})
    address = "objects://bucket/a.zarr"
    with pytest.raises(KeyError):  # nobody has a split
        prepare(str(cohort), address, SMALL)
    for key in extend_store(address).finished():
        own = [mark for path, mark in written if f"/{key}/" in path]
        assert len(own) > 5
        assert own == [False] * (len(own) - 1) + [True]


def test_commands_read_remote_stores(
    objects: type[_Objects], cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"memory://{uuid.uuid4().hex}/a.zarr"
    assert main(["prepare", str(cohort), address, "--size", "16"]) == 0
    assert main(["info", address]) == 0
    assert "4 (train 2, val 1, test 1)" in capsys.readouterr().out
    assert main(["fit", address, "--out", str(tmp_path / "run"), "--images", "64", "--size", "8"]) == 0
    assert main(["fit", "--resume", address, "--out", str(tmp_path / "run")]) == 0
    assert main(["prepare", str(cohort), address, "--size", "16", "--workers", "2"]) == 2
    assert "memory of one process" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("s4://bucket/a.zarr", "unknown protocol 's4'"),
        ("nowhere://bucket/a.zarr", "nowhere://bucket/a.zarr needs another package: "),
        ("objects://bucket/a.zarr", "cannot be reached or used ([Errno 113] No route to host)"),
        ("objects://taken", "exists and is not a store"),
    ],
)
def test_inaccessible_stores_are_reported_in_one_line(
    objects: type[_Objects],
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    address: str,
    sentence: str,
) -> None:
    fsspec.register_implementation(
        "nowhere", "no_such_package.of.Files", clobber=True, errtxt="Install no_such_package"
    )
    fsspec.filesystem("objects").pipe_file("/taken/photo.jpg", b"precious")
    monkeypatch.setattr(_Objects, "reachable", "bucket" not in address)
    for words in (["prepare", str(cohort), address, "--size", "16"], ["info", address], ["fit", address, "--out", "x"]):
        if words[0] != "prepare" and "taken" in address:
            sentence = "not a prepared cohort"
        assert main(words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert line.startswith("Error: ")
        assert sentence in line


def test_a_lost_connection_is_not_reported_as_damage(
    objects: type[_Objects], cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "objects://bucket/a.zarr"
    prepare(str(cohort), address, SMALL)
    store = open_store(address)
    subject = store.subject(store.keys()[0])
    monkeypatch.setattr(_Objects, "reachable", False)
    with pytest.raises(InputError, match="cannot be reached"):
        store.load_slices(None)
    monkeypatch.setattr(_Objects, "reachable", True)
    assert np.isfinite(subject.images[:]).all()
    shard = max((path for path in _Objects.store if "/0/c/" in path), key=lambda path: _Objects.store[path].size)  # type: ignore[attr-defined]
    _Objects.store.pop(shard)
    with pytest.raises(InputError, match="damaged"):
        store.load_slices(None)


def test_a_lost_connection_ends_the_preparation(
    objects: type[_Objects], cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "objects://bucket/a.zarr"

    def cut(what: str, done: int, total: int) -> None:
        monkeypatch.setattr(_Objects, "reachable", not (what == "subjects" and done == 1))

    with pytest.raises(InputError, match="cannot be reached"):
        prepare(str(cohort), address, SMALL, progress=cut)
    monkeypatch.setattr(_Objects, "reachable", True)
    assert not is_free(address)
    report = prepare(str(cohort), address, SMALL)
    assert (report.new, len(report.subjects), report.rejected) == (3, 4, ())
