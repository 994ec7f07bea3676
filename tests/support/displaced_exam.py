"""A phantom exam on scanner grids: an oblique T1, and a T2 of a head that has moved, each on its own grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from napari_pgan.imaging.io.volume import Volume, orient, write_volume
from napari_pgan.imaging.registration.resampling import resample_image, resample_labels
from napari_pgan.phantom import PhantomSubject

MOVED = np.eye(4)  # T1 point → T2 point
MOVED[:3, :3] = Rotation.from_euler("xyz", (5, -4, 8), degrees=True).as_matrix()
MOVED[:3, 3] = 6, -5, 4


def write_exam(folder: Path, subject: PhantomSubject) -> dict[str, np.ndarray]:
    """Write ``head_t1.nii.gz`` and ``head_t2.nii.gz``; return the true lesion (z, y, x) on each grid."""
    folder.mkdir(parents=True, exist_ok=True)
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("xyz", (8, 5, -6), degrees=True).as_matrix()
    affine = subject.grid.affine()
    lesion = Volume((subject.labels > 0).astype(np.uint8), affine)
    truth = {}
    for part, motion, axes, thickness in (("t1", np.eye(4), "SPL", 1.0), ("t2", MOVED, "AIR", 1.5)):
        image = Volume(np.asarray(subject.images[part], np.float32), affine)
        target = orient(Volume(image.array, oblique @ affine), axes)
        n = target.array.shape
        shape, grid = (int(n[0] / thickness), *n[1:]), target.affine @ np.diag([1, 1, thickness, 1])
        back = np.linalg.inv(motion)
        write_volume(folder / f"head_{part}.nii.gz", resample_image(image, back, shape, grid))
        truth[part] = resample_labels(lesion, back, shape, grid).array
    return truth
