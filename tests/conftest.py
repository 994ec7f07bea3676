"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# one thread each: small arrays gain nothing from more, and waiting for a second core on a busy machine costs dearly
os.environ.setdefault("OMP_NUM_THREADS", "1")
from hypothesis import settings

settings.register_profile("tests", deadline=None, max_examples=50)  # a loaded machine is no failure
settings.load_profile("tests")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public research data beside the checkout; tests that want it are skipped where it is absent."""
    folder = Path(os.environ.get("NAPARI_PGAN_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the research data is not at {folder}; set NAPARI_PGAN_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of six small phantoms with slices of 32 pixels, made the way a user makes one."""
    from napari_pgan.cli.app import main

    folder = tmp_path_factory.mktemp("small")
    cohort, store = folder / "cohort", folder / "store.zarr"
    assert main(["phantom", str(cohort), "--subjects", "6", "--seed", "5", "--size", "32", "--workers", "1"]) == 0
    assert main(["prepare", str(cohort), str(store), "--size", "32", "--workers", "1"]) == 0
    return store
