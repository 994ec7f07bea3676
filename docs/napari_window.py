"""A napari window with a dock, for the scripts that make the pictures of the docs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TIMEOUT = 180  # seconds


@contextmanager
def display(size: tuple[int, int]) -> Iterator[None]:
    """Provide a display and default settings; without a display, run the script again under Xvfb."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        xvfb = shutil.which("xvfb-run")
        if xvfb is None:
            sys.exit("there is no display, and xvfb-run is not installed: apt install xvfb xauth")
        screen = f"-screen 0 {size[0] + 200}x{size[1] + 100}x24"
        sys.exit(subprocess.call([xvfb, "-a", "-s", screen, sys.executable, *sys.argv]))
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(NAPARI_CONFIG=str(Path(folder) / "napari.yaml"), XDG_CONFIG_HOME=folder)
        yield


class Window:
    """A napari window; `open_dock` adds one of the plugin's docks.

    Parameters
    ----------
    size
        (width, height) in screen pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*size)
        self._app = QApplication.instance()

    def open_dock(self, name: str) -> object:
        """Open a dock and return its widget."""
        return self.viewer.window.add_plugin_dock_widget("napari-pgan", name)[1]

    def wait(self, ready: Callable[[], bool]) -> None:
        """Run the event loop until a condition holds."""
        end = time.monotonic() + _TIMEOUT
        while not ready():
            self._app.processEvents()
            time.sleep(0.01)
            if time.monotonic() > end:
                sys.exit(f"no result within {_TIMEOUT} s")

    def settle(self, seconds: float = 1.5) -> None:
        """Run the event loop for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def write(self, out: Path) -> None:
        """Write a screenshot."""
        self.settle()
        out.parent.mkdir(parents=True, exist_ok=True)
        self.viewer.window.screenshot(path=str(out), size=None, flash=False, canvas_only=False)
        print(out)
