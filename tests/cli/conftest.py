"""Fixtures shared by the tests of the commands: short trainings and a salt."""

from __future__ import annotations

import pytest
from trainings import forks, quick_start, short_run

__all__ = ["forks", "quick_start", "short_run"]


@pytest.fixture(autouse=True)
def _salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
