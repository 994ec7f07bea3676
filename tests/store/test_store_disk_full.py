"""Writing a store to a full disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from small_store import content, new_store

from napari_pgan.errors import InputError


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX file size limits")
def test_a_full_disk_is_reported_with_path_and_remedy(tmp_path: Path) -> None:
    import resource
    import signal

    writer = new_store(tmp_path / "a.zarr")
    images, labels = content(0)
    given = {"spacing": (5.0, 3.0, 3.0), "slices": [0], "brain_slices": (0, 5)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"a\.zarr: cannot be written \(File too large\); make room"):
            writer.add_subject("a" * 16, images, labels, **given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not writer.finished()
    writer.add_subject("a" * 16, images, labels, **given)
    assert list(writer.finished()) == ["a" * 16]
