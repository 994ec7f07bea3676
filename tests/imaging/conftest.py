"""A salt for all tests of this room."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
