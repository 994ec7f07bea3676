"""napari closes cleanly while docks work in the background."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CLOSED_EARLY = """
import time
import napari
from qtpy.QtWidgets import QApplication

viewer = napari.Viewer(show=False)
for name in ("Explore", "Prepare", "Steer"):
    _, dock = viewer.window.add_plugin_dock_widget("napari-pgan", name)
end = time.monotonic() + 60
while {wait} and dock._session.model is None and time.monotonic() < end:
    QApplication.processEvents()
    time.sleep(0.01)
viewer.close()
"""


@pytest.mark.viewer
@pytest.mark.parametrize("wait", [False, True], ids=["while a model loads", "while a bank is built"])
def test_process_ends_normally_if_napari_closes_during_work(wait: bool, tmp_path: Path) -> None:
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}  # no bank of latents is cached
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", _CLOSED_EARLY.format(wait=wait)],
            env=variables, capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
