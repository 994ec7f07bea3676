"""A phantom's exam as a scanner writes it: T1 oblique, T2 of a head that has moved, each on a grid of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from napari_pgan.imaging.io.volume import Volume, orient, write_volume
from napari_pgan.imaging.registration.resampling import resample_image, resample_labels
from napari_pgan.phantom import PhantomSubject

MOVED = np.eye(4)  # a point p of the head in T1 is at MOVED p in T2
MOVED[:3, :3] = Rotation.from_euler("xyz", (5, -4, 8), degrees=True).as_matrix()
MOVED[:3, 3] = 6, -5, 4


def write_exam(folder: Path, subject: PhantomSubject) -> dict[str, np.ndarray]:
    """``head_t1.nii.gz`` and ``head_t2.nii.gz``; returns the true lesion (z, y, x) on the grid of each."""
    folder.mkdir(parents=True, exist_ok=True)
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("xyz", (8, 5, -6), degrees=True).as_matrix()
    affine = subject.grid.affine()
    lesion = Volume((subject.labels > 0).astype(np.uint8), affine)
    truth = {}
    for part, moved, axes, thick in (("t1", np.eye(4), "SPL", 1.0), ("t2", MOVED, "AIR", 1.5)):
        image = Volume(np.asarray(subject.images[part], np.float32), affine)
        to = orient(Volume(image.array, turned @ affine), axes)
        n = to.array.shape
        shape, grid = (int(n[0] / thick), *n[1:]), to.affine @ np.diag([1, 1, thick, 1])
        back = np.linalg.inv(moved)
        write_volume(folder / f"head_{part}.nii.gz", resample_image(image, back, shape, grid))
        truth[part] = resample_labels(lesion, back, shape, grid).array
    return truth
