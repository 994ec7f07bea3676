"""A fixed salt and small stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_store import add, new_store

from napari_pgan.store import SplitRule


@pytest.fixture(autouse=True)
def _salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a store whose keys are hexadecimal subject numbers."""

    def make(subjects: int = 8, name: str = "a.zarr") -> Path:
        writer = new_store(tmp_path / name)
        for i in range(subjects):
            add(writer, f"{i:04x}", i)
        writer.assign_splits(SplitRule())
        return tmp_path / name

    return make
