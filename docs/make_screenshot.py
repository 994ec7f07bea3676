"""Make the picture of the dock Explore: ``python docs/make_screenshot.py [MODEL] [--out FILE]``.

Without a display it starts itself again under Xvfb.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SEEDS = range(200)
PATIENCE = 120  # seconds


def telling_seed(model: Any) -> int:
    """A seed that shows what the model makes: every label, and a lesion larger than in most samples."""
    import numpy as np

    labels = model.sample(seeds=SEEDS).labels
    sizes = (labels > 0).reshape(len(labels), -1).sum(axis=1)
    kinds = np.array([len(np.unique(x)) for x in labels])
    complete = np.flatnonzero(kinds == kinds.max())
    order = complete[np.argsort(sizes[complete])]
    return int(SEEDS[order[int(0.7 * (len(order) - 1))]])


def take(source: str, out: Path, seed: int | None, size: tuple[int, int]) -> None:
    """Open napari, sample, and write what the window shows."""
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show=True)
    viewer.window.resize(*size)
    app = QApplication.instance()

    def wait(ready: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not ready():
            app.processEvents()
            time.sleep(0.01)
            if time.monotonic() > end:
                sys.exit(f"nothing came within {PATIENCE} s")

    def settle(seconds: float = 1.0) -> None:
        end = time.monotonic() + seconds
        wait(lambda: time.monotonic() > end)

    _, explore = viewer.window.add_plugin_dock_widget("napari-pgan", "Explore")
    explore.open_model(source)
    wait(explore.sample_button.isEnabled)
    model = explore._session.model
    explore.place.seed.setValue(telling_seed(model) if seed is None else seed)
    explore.sample_button.click()
    wait(lambda: explore._session.shown is not None)
    settle()
    viewer.reset_view()
    labels = viewer.layers[-1]
    lesion = labels.data == labels.data.max()
    if lesion.any():  # the status bar says what lies under the mouse
        inside = tuple(axis[len(axis) // 2] for axis in lesion.nonzero())
        viewer.status = labels.get_status(labels.data_to_world(inside), world=True)
    settle()
    out.parent.mkdir(parents=True, exist_ok=True)
    viewer.window.screenshot(path=str(out), size=None, flash=False, canvas_only=False)
    viewer.close()
    print(f"{out}: seed {explore._session.place.seed} of {model.card.name}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="default", help="a file, or the name of a shipped model")
    parser.add_argument("--out", type=Path, default=HERE / "images" / "explore.png")
    parser.add_argument("--seed", type=int, help="chosen by what it shows if left out")
    parser.add_argument("--size", type=int, nargs=2, default=(1500, 800))
    options = parser.parse_args()
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        xvfb = shutil.which("xvfb-run")
        if xvfb is None:
            sys.exit("there is no display, and xvfb-run is not installed: apt install xvfb xauth")
        screen = f"-screen 0 {options.size[0] + 200}x{options.size[1] + 100}x24"
        sys.exit(subprocess.call([xvfb, "-a", "-s", screen, sys.executable, *sys.argv]))
    with tempfile.TemporaryDirectory() as folder:  # not the person's own settings
        os.environ.update(NAPARI_CONFIG=str(Path(folder) / "napari.yaml"), XDG_CONFIG_HOME=folder)
        take(options.model, options.out, options.seed, tuple(options.size))


if __name__ == "__main__":
    main()
