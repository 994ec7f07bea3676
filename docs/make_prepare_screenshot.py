"""Make the picture of the dock Prepare from a phantom: ``python docs/make_prepare_screenshot.py [--out FOLDER]``.

A phantom head whose T2 and FLAIR have moved is written as an exam with a grid for each modality, previewed, and sent on
to the shipped model's grid. Without a display it starts itself again under Xvfb.
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
PATIENCE = 180  # seconds


def write_exam(folder: Path, seed: int, size: int) -> None:
    """T1 and T1 after contrast agent on one grid, T2 and FLAIR displaced, with thick slices."""
    import numpy as np
    from scipy.spatial.transform import Rotation

    from napari_pgan.imaging.io.volume import Volume, write_volume
    from napari_pgan.imaging.registration.resampling import resample_image
    from napari_pgan.phantom import make_subject

    subject = make_subject(seed, size, skull=True)
    affine = subject.grid.affine()
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_euler("xyz", (7, -6, 9), degrees=True).as_matrix()
    moved[:3, 3] = 9, -7, 6
    thick = affine @ np.diag([1.0, 1.0, 2.0, 1.0])
    for part, image in subject.images.items():
        volume = Volume(np.asarray(image, np.float32), affine)
        if part in ("t2", "flair"):
            volume = resample_image(volume, moved, (size // 2, size, size), thick)
        write_volume(folder / f"phantom_head_of_nobody_{part}.nii.gz", volume)


def take(out: Path, size: tuple[int, int], seed: int, everything: bool) -> None:
    """Open napari, prepare the exam, and write what the window shows."""
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

    def settle(seconds: float = 1.5) -> None:
        end = time.monotonic() + seconds
        wait(lambda: time.monotonic() > end)

    def shoot(name: str) -> None:
        settle()
        viewer.window.screenshot(path=str(out / name), size=None, flash=False, canvas_only=False)
        print(out / name)

    from napari_pgan.viewer.models import open_model
    from napari_pgan.viewer.session import session_of

    model: Any = open_model("default").model
    session_of(viewer).use(model, "default")
    _, dock = viewer.window.add_plugin_dock_widget("napari-pgan", "Prepare")
    exam = dock.exam
    with tempfile.TemporaryDirectory() as folder:
        write_exam(Path(folder), seed, 96)
        exam.open_paths([folder])
        wait(lambda: exam.source.table.rowCount() == 4 and exam.preview_button.isEnabled())
        exam.preview_button.click()
        wait(lambda: exam.add_button.isEnabled() and len(viewer.layers) == 1)
    form = exam.comparison.form
    form.fields["part"].value = "t2"
    area = dock.tabs.widget(0)
    area.verticalScrollBar().setValue(0)
    form.before.setChecked(True)
    if everything:
        shoot("prepare-before.png")
    form.after.setChecked(True)
    shoot("prepare.png")
    if everything:
        area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
        exam.add_button.click()
        wait(lambda: exam.patient.button.isEnabled())
        shoot("prepare-sent.png")
        form.fields["mode"].value = "Swipe"
        settle(0.5)
        shoot("prepare-swipe.png")
        dock.tabs.setCurrentIndex(1)
        with tempfile.TemporaryDirectory() as folder:
            prepare_cohort(dock.cohort, Path(folder), wait)
            shoot("prepare-cohort.png")
    viewer.close()


def prepare_cohort(tab: Any, folder: Path, wait: Callable[[Callable[[], bool]], None]) -> None:
    """Five phantoms, of which one lacks its T2."""
    from napari_pgan.phantom import write_cohort

    write_cohort(folder / "cohort", 5, seed=1, size=32)
    next(folder.glob("cohort/phantom_0002/*t2*")).unlink()
    tab.paths.fields["source"].value = str(folder / "cohort")
    tab.paths.fields["store"].value = str(folder / "a-cohort-with-a-long-name.zarr")
    tab.grid.fields["size"].value = 32
    tab.prepare_button.click()
    wait(lambda: not tab.process.is_running)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "images")
    parser.add_argument("--size", type=int, nargs=2, default=(1400, 950))
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--everything", action="store_true", help="all stages of it, a swipe and a cohort")
    options = parser.parse_args()
    if sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        xvfb = shutil.which("xvfb-run")
        if xvfb is None:
            sys.exit("there is no display, and xvfb-run is not installed: apt install xvfb xauth")
        screen = f"-screen 0 {options.size[0] + 200}x{options.size[1] + 100}x24"
        sys.exit(subprocess.call([xvfb, "-a", "-s", screen, sys.executable, *sys.argv]))
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:  # not the person's own settings
        os.environ.update(NAPARI_CONFIG=str(Path(folder) / "napari.yaml"), XDG_CONFIG_HOME=folder)
        take(options.out, tuple(options.size), options.seed, options.everything)


if __name__ == "__main__":
    main()
