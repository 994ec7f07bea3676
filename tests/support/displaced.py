"""Brains with two contrasts, displaced by known rigid motions."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.registration.resampling import resample_image
from napari_pgan.phantom.template import load_template


def template() -> dict[str, Volume]:
    """Return the shipped average brain with T1-like and T2-like contrast from its tissue fractions, with noise."""
    maps = load_template()
    white, grey = (np.clip(share, 0, 1) for share in (maps.white, maps.grey))
    brain = maps.inside > 0
    fluid = np.clip(1 - white - grey, 0, 1)
    random = np.random.default_rng(0)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])  # indices grow towards S, P, L
    affine[:3, 3] = 80, 96, -78
    made = {}
    for name, weights in {"t1": (1.0, 0.65, 0.2), "t2": (0.4, 0.6, 1.2)}.items():
        image = sum(w * share for w, share in zip(weights, (white, grey, fluid), strict=True))
        image = 100 * image + random.normal(0, 3, image.shape)
        made[name] = Volume(np.where(brain, np.maximum(image, 1), 0).astype(np.float32), affine)
    return made


def motion(random: np.random.Generator, millimetres: float, degrees: float, centre: np.ndarray) -> np.ndarray:
    """Return a random 4×4 rigid motion about `centre`, uniform per axis up to the given limits."""
    turn, there, back = np.eye(4), np.eye(4), np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", random.uniform(-degrees, degrees, 3), degrees=True).as_matrix()
    there[:3, 3], back[:3, 3] = centre + random.uniform(-millimetres, millimetres, 3), -centre
    moved: np.ndarray = there @ turn @ back
    return moved


def move(volume: Volume, matrix: np.ndarray, fill: float = 0.0) -> Volume:
    """Resample a volume after a point p moved to `matrix` p, on the same grid."""
    return resample_image(volume, np.linalg.inv(matrix), volume.array.shape, volume.affine, fill)
