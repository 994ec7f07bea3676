"""Phantom subjects, made once for all tests."""

from __future__ import annotations

import pytest

from napari_pgan.phantom import PhantomSubject, make_subject

SIZE = 64


@pytest.fixture(scope="session")
def subjects() -> list[PhantomSubject]:
    """Ten subjects at 64³."""
    return [make_subject(seed, SIZE) for seed in range(10)]
