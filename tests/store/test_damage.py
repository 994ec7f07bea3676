"""Damaged stores are reported, never read as if they were complete."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from napari_pgan.cli.app import main
from napari_pgan.errors import InputError
from napari_pgan.store import open_store


@pytest.fixture
def store(small_store: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_store, tmp_path / "store.zarr")
    return tmp_path / "store.zarr"


def largest_shard(store: Path, key: str) -> Path:
    return max((p for p in (store / key / "0").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


@pytest.mark.parametrize("how", ["missing", "truncated", "bit flip"])
def test_a_damaged_subject_is_named(store: Path, how: str) -> None:
    key = open_store(store).keys("train")[0]
    shard = largest_shard(store, key)
    content = bytearray(shard.read_bytes())
    if how == "missing":
        shard.unlink()
    elif how == "truncated":
        shard.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 3] ^= 255
        shard.write_bytes(content)
    with pytest.raises(InputError, match=key):
        open_store(store).load_slices("train")


def test_fit_rejects_a_damaged_store_in_one_sentence(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(store / open_store(store).keys("train")[0] / "labels")
    assert main(["fit", str(store), "--out", str(store.parent / "run"), "--images", "32"]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert "damaged" in message


@pytest.mark.parametrize(
    "content", ["{", "{}", '{"zarr_format": 3, "node_type": "group", "attributes": {"napari_pgan": {}}}']
)
def test_a_damaged_root_is_one_sentence(store: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (store / "zarr.json").write_text(content)
    assert main(["fit", str(store), "--out", str(store.parent / "run")]) == 2
    assert capsys.readouterr().err.startswith("Error: ")
