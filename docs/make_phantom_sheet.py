"""Write docs/images/phantom_sheet.png and phantom_planes.png, the pictures of phantom.md.

python docs/make_phantom_sheet.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch

from napari_pgan.phantom import CHANNELS, PhantomSubject, make_subject

IMAGES = Path(__file__).parent / "images"
SUBJECTS = (25, 22, 3, 20, 24, 113)
TITLES = {"t1": "T1", "t1ce": "T1 with contrast", "t2": "T2", "flair": "FLAIR"}


def main() -> None:
    """Draw both pictures."""
    IMAGES.mkdir(exist_ok=True)
    subjects = [make_subject(seed, 128) for seed in SUBJECTS]
    _sheet(subjects)
    _planes(subjects[-1], make_subject(SUBJECTS[-1], 128, skull=True))


def _sheet(subjects: list[PhantomSubject]) -> None:
    figure, axes = plt.subplots(len(subjects), 5, figsize=(10, 2.3 * len(subjects)), facecolor="black")
    for row, subject in zip(axes, subjects, strict=True):
        core = np.isin(subject.labels, (1, 4))
        z = int(np.argmax(core.sum((1, 2)) + 0.3 * (subject.labels == 2).sum((1, 2))))
        window = _window(subject)
        for axis, modality in zip(row, CHANNELS.modalities, strict=False):
            _show(axis, subject, modality, subject.images[modality][z][window])
        _show(row[4], subject, "flair", subject.images["flair"][z][window])
        row[4].imshow(_overlay(subject.labels[z][window]), interpolation="nearest")
    for axis, title in zip(axes[0], [*TITLES.values(), "segmentation on FLAIR"], strict=True):
        axis.set_title(title, color="white", fontsize=10)
    patches = [Patch(color=label.color, label=label.name) for label in CHANNELS.labels]
    figure.legend(handles=patches, loc="lower center", ncols=3, frameon=False, labelcolor="white", fontsize=10)
    figure.subplots_adjust(0.005, 0.03, 0.995, 0.975, 0.02, 0.02)
    figure.savefig(IMAGES / "phantom_sheet.png", dpi=100)


def _planes(subject: PhantomSubject, head: PhantomSubject) -> None:
    figure, axes = plt.subplots(2, 4, figsize=(10, 5.3), facecolor="black")
    for row, modality in zip(axes, ("t1ce", "t2"), strict=True):
        z, y, x = (round(v) for v in np.argwhere(np.isin(subject.labels, (1, 4))).mean(0))
        image = subject.images[modality]
        for axis, plane in zip(row, (image[z], image[::-1, y], image[::-1, :, x]), strict=False):
            _show(axis, subject, modality, plane[10:, 6:-6])
        _show(row[3], head, modality, head.images[modality][z])
    for axis, title in zip(axes[0], ("axial", "coronal", "sagittal", "with skull and scalp"), strict=True):
        axis.set_title(title, color="white", fontsize=10)
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.94, 0.02, 0.02)
    figure.savefig(IMAGES / "phantom_planes.png", dpi=100)


def _show(axis: Axes, subject: PhantomSubject, modality: str, plane: np.ndarray) -> None:
    inside = subject.images[modality][subject.brain]
    axis.imshow(plane, cmap="gray", vmin=0, vmax=np.percentile(inside, 99.7), interpolation="bicubic")
    axis.set_axis_off()


def _window(subject: PhantomSubject) -> tuple[slice, slice]:
    """Rows and columns around the brain, of the same size for all subjects."""
    rows, columns = (np.flatnonzero(subject.brain.any(axes)) for axes in ((0, 2), (0, 1)))
    y, x = (rows[0] + rows[-1] + 1) // 2, (columns[0] + columns[-1] + 1) // 2
    return slice(max(y - 56, 0), y + 56), slice(max(x - 49, 0), x + 49)


def _overlay(labels: np.ndarray) -> np.ndarray:
    picture = np.zeros((*labels.shape, 4))
    for label in CHANNELS.labels:
        picture[labels == label.value] = to_rgba(label.color, 0.75)
    return picture


if __name__ == "__main__":
    main()
