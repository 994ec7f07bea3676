"""Atomic writes leave either the old file or the complete new one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_pgan.atomic import replacing, write_text
from napari_pgan.errors import InputError


def test_writing_replaces_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "note.txt"
    write_text(target, "old")
    write_text(target, "new, ä")
    assert target.read_text("utf-8") == "new, ä"
    assert os.listdir(target.parent) == ["note.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_halfway_leaves_only_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "note.txt"
    write_text(target, "old")

    def fail_halfway() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        fail_halfway()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["note.txt"]


def test_readers_see_the_old_file_until_the_new_one_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    write_text(target, "old")
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


def test_the_temporary_file_keeps_the_suffixes(tmp_path: Path) -> None:
    with replacing(tmp_path / "image.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"x")


def test_an_unwritable_path_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_text(tmp_path / "file" / "note.txt", "new")
    assert str(tmp_path / "file" / "note.txt") in str(caught.value)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_files_get_the_default_permissions(tmp_path: Path) -> None:
    with replacing(tmp_path / "model") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)  # as safetensors leaves it
    (tmp_path / "new").touch()
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "new").stat().st_mode
