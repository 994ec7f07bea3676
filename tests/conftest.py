"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public research data beside the checkout; tests that want it are skipped where it is absent."""
    folder = Path(os.environ.get("NAPARI_PGAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the research data is not at {folder}; set NAPARI_PGAN_DATA to where it is")
    return folder
