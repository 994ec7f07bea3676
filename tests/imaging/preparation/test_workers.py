"""Choice of the number of worker processes."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from napari_pgan.imaging.preparation import workers


@pytest.mark.parametrize(("cores", "gigabytes", "expected"), [(64, 6, 8), (2, 24, 2), (8, 0.1, 1), (1, 64, 1)])
def test_worker_count_is_limited_by_cores_and_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int, gigabytes: float, expected: int
) -> None:
    monkeypatch.setattr(workers, "available_cores", lambda: cores)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=gigabytes * 1e9))
    assert workers.default_worker_count() == expected
