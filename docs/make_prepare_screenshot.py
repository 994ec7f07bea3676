"""Write docs/images/prepare.png, the picture of prepare-dock.md: ``python docs/make_prepare_screenshot.py``.

The exam is a phantom head whose T2 and FLAIR are displaced, on grids of their own. It is previewed and added to the
viewer on the shipped model's grid. Without a display, the script runs under Xvfb.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from napari_window import Window, display

HERE = Path(__file__).parent


def write_exam(folder: Path, seed: int, size: int) -> None:
    """Write T1 and T1 with contrast agent on one grid, and displaced T2 and FLAIR with thick slices."""
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
    """Prepare the exam in napari, and write screenshots."""
    from napari_pgan.viewer.model_files import open_model
    from napari_pgan.viewer.session import session_of

    window = Window(size)
    viewer, wait = window.viewer, window.wait
    model: Any = open_model("default").model
    session_of(viewer).use(model, "default")
    dock: Any = window.open_dock("Prepare")
    exam = dock.exam
    with tempfile.TemporaryDirectory() as folder:
        write_exam(Path(folder), seed, 96)
        exam.open_paths([folder])
        wait(lambda: exam.source.table.rowCount() == 4 and exam.preview_button.isEnabled())
        exam.preview_button.click()
        wait(lambda: exam.add_button.isEnabled() and len(viewer.layers) == 1)
    comparison = exam.comparison
    comparison.fields["part"].value = "t2"
    area = dock.tabs.widget(0)
    area.verticalScrollBar().setValue(0)
    comparison.before.setChecked(True)
    if everything:
        window.write(out / "prepare-before.png")
    comparison.after.setChecked(True)
    window.write(out / "prepare.png")
    if everything:
        area.verticalScrollBar().setValue(area.verticalScrollBar().maximum())
        exam.add_button.click()
        wait(lambda: exam.patient.button.isEnabled())
        window.write(out / "prepare-sent.png")
        comparison.fields["mode"].value = "Swipe"
        window.settle(0.5)
        window.write(out / "prepare-swipe.png")
        dock.tabs.setCurrentIndex(1)
        with tempfile.TemporaryDirectory() as folder:
            prepare_cohort(window, dock.cohort, Path(folder))
            window.write(out / "prepare-cohort.png")
    viewer.close()


def prepare_cohort(window: Window, tab: Any, folder: Path) -> None:
    """Prepare five phantoms, one of them without T2."""
    from napari_pgan.phantom import write_cohort

    write_cohort(folder / "cohort", 5, seed=1, size=32)
    next(folder.glob("cohort/phantom_0002/*t2*")).unlink()
    tab.paths.fields["source"].value = str(folder / "cohort")
    tab.paths.fields["store"].value = str(folder / "a-cohort-with-a-long-name.zarr")
    tab.grid.fields["size"].value = 32
    tab.prepare_button.click()
    window.wait(lambda: not tab.process.is_running)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "images")
    parser.add_argument("--size", type=int, nargs=2, default=(1400, 950))
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--everything", action="store_true", help="also write every stage, a swipe and a cohort")
    options = parser.parse_args()
    with display(tuple(options.size)):
        take(options.out, tuple(options.size), options.seed, options.everything)


if __name__ == "__main__":
    main()
