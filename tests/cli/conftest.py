"""Trainings that several files compare with, and a salt."""

from __future__ import annotations

import pytest
from trainings import forks, quick_start, short_run

__all__ = ["forks", "quick_start", "short_run"]


@pytest.fixture(autouse=True)
def _salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_PGAN_SALT", "a salt for tests")
