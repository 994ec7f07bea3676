"""Make the pictures of the docks: ``python docs/make_screenshot.py [MODEL] [--dock Explore|Steer]``.

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
RINGS = (2, 4, 1)  # of a glioma, from outside: oedema, enhancing rim, core
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


class Window:
    """A napari window with one of our docks.

    Parameters
    ----------
    dock
        Its name.
    size
        (width, height) in screen pixels.
    """

    def __init__(self, dock: str, size: tuple[int, int]) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*size)
        self._app = QApplication.instance()
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-pgan", dock)

    def wait(self, ready: Callable[[], bool]) -> None:
        """Let the window live until something is so."""
        end = time.monotonic() + PATIENCE
        while not ready():
            self._app.processEvents()
            time.sleep(0.01)
            if time.monotonic() > end:
                sys.exit(f"nothing came within {PATIENCE} s")

    def settle(self, seconds: float = 1.0) -> None:
        """Let the window live for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def write(self, out: Path) -> None:
        """Write what the window shows, and close it."""
        self.settle()
        out.parent.mkdir(parents=True, exist_ok=True)
        self.viewer.window.screenshot(path=str(out), size=None, flash=False, canvas_only=False)
        self.viewer.close()


def take_explore(source: str, out: Path, seed: int | None, size: tuple[int, int]) -> None:
    """Sample, and point at the lesion."""
    window = Window("Explore", size)
    viewer, explore = window.viewer, window.dock
    explore.open_model(source)
    window.wait(explore.sample_button.isEnabled)
    model = explore._session.model
    explore.place.seed.setValue(telling_seed(model) if seed is None else seed)
    explore.sample_button.click()
    window.wait(lambda: explore._session.shown is not None)
    window.settle()
    viewer.reset_view()
    labels = viewer.layers[-1]
    lesion = labels.data == labels.data.max()
    if lesion.any():  # the status bar says what lies under the mouse
        inside = tuple(axis[len(axis) // 2] for axis in lesion.nonzero())
        viewer.status = labels.get_status(labels.data_to_world(inside), world=True)
    window.write(out)
    print(f"{out}: seed {explore._session.place.seed} of {model.card.name}")


def take_steer(source: str, out: Path, seed: int | None, size: tuple[int, int]) -> None:
    """Draw a lesion of all labels, one inside the other, and wait for what is found."""
    import numpy as np

    from napari_pgan.viewer.session import Place

    window = Window("Steer", size)
    steer = window.dock
    steer.open_model(source)
    window.wait(lambda: steer._bank is not None)
    model = steer._session.model
    if seed is not None:
        steer._session.go(Place(seed))
    steer.new_drawing()
    window.wait(lambda: steer._asking.drawing is not None)
    layer = steer._asking.drawing
    height, width = model.card.grid.shape
    y, x = np.mgrid[:height, :width] / min(height, width)
    values = list(model.card.channels.values)
    rings = RINGS if set(RINGS) == set(values) else values
    for value, radius in zip(rings, (0.15, 0.1, 0.055), strict=False):
        layer.data_setitem(np.nonzero(np.hypot(1.2 * (y - 0.4), x - 0.63 + 0.2 * (y - 0.4)) < radius), value)
    window.wait(lambda: steer.answer is not None)
    window.wait(lambda: not steer.is_searching)
    window.viewer.reset_view()
    window.write(out)
    print(f"{out}: {steer.answer.found.scores.max():.2f} of what was drawn, {model.card.name}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="default", help="a file, or the name of a shipped model")
    parser.add_argument("--dock", choices=["Explore", "Steer"], default="Explore")
    parser.add_argument("--out", type=Path, help="images/explore.png or images/steer.png beside this file if left out")
    parser.add_argument("--seed", type=int, help="of the sample; Explore chooses one that shows much if left out")
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
        out = options.out or HERE / "images" / f"{options.dock.lower()}.png"
        take = {"Explore": take_explore, "Steer": take_steer}[options.dock]
        take(options.model, out, options.seed, tuple(options.size))


if __name__ == "__main__":
    main()
