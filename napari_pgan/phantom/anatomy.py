"""Healthy brain of one subject: a smooth, invertible deformation of the average brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_pgan.phantom.fields import Lattice, exponential, flow_from_sources, random_field
from napari_pgan.phantom.template import load_template

FIELD_OF_VIEW = 216.0  # mm
# Grid on which shapes and growth are computed at any image size; contains the brain with a margin.
COARSE = Lattice((48, 58, 48), 3.375)
# Patients' brains are smaller than the template, which averaging enlarged: (z, y, x).
_MEAN_SCALE = np.array([0.90, 0.935, 0.945])
# (correlation length in mm, standard deviation of the displacement in mm)
_WARPS = ((45.0, 2.6), (20.0, 1.5), (9.0, 1.1))


@dataclass(frozen=True)
class Anatomy:
    """A head without tumour on the grid `COARSE`.

    Attributes
    ----------
    velocity
        Stationary velocity in mm; its flow, followed by `matrix`, maps points of the subject to the template.
    displacement
        Displacement of that flow, (3, z, y, x) in mm.
    matrix
        3×3, from subject to template mm (z, y, x).
    fluid
        Log weight of sulcal fluid; increases with age.
    relief
        (2, z, y, x) random fields that vary the borders of fluid and white matter.
    trim
        Surface layer removed with the skull in mm, (z, y, x).
    ventricle_scale
        Ventricle volume relative to the template.
    """

    velocity: np.ndarray
    displacement: np.ndarray
    matrix: np.ndarray
    fluid: float
    relief: np.ndarray
    trim: np.ndarray
    ventricle_scale: float

    def to_template(self, points: np.ndarray) -> np.ndarray:
        """Map subject points (3, ...) in mm to template points."""
        moved = points + COARSE.sample(self.displacement, points)
        return np.tensordot(self.matrix, moved, 1).astype(np.float32)

    def tissue(self, points: np.ndarray, template_points: np.ndarray) -> np.ndarray:
        """Return the fractions of white matter, grey matter and fluid at `points` (3, n) in the brain; (3, n), sum 1.

        The average of 152 brains has blurred borders; squaring the fractions sharpens them to those of one brain.
        """
        template = load_template()
        at = template.lattice.indices(template_points)
        white, grey = (
            np.clip(ndimage.map_coordinates(c, at, output=np.float32, prefilter=False, mode="nearest"), 0, 1)
            for c in (template.white, template.grey)
        )
        fluid = np.clip(1 - white - grey, 0, 1)
        depth = template.lattice.sample(template.inside, template_points)
        # The outermost millimetre is grey matter in the average but fluid in a subject.
        relief = COARSE.sample(self.relief, points)
        fluid += np.clip(0.28 + 0.2 * relief[0], 0, 1) * np.clip(1 - depth / 2.2, 0, 1)
        fractions = np.stack([white, grey, fluid]) ** 2 + 1e-4
        fractions *= np.exp(np.stack([0.45 * relief[1], np.zeros_like(fluid), self.fluid + 0.5 * relief[0]]))
        return fractions / fractions.sum(0)


def make_anatomy(seed: int) -> Anatomy:
    """Draw a random head: size and proportions, ventricles, folding."""
    rng = np.random.default_rng([seed, 1])
    template = load_template()
    age = rng.uniform()  # relative: 0 has narrow sulci and small ventricles, 1 wide ones
    # Clipped so that no head leaves the field of view.
    variation = np.clip(rng.standard_normal(4), -1.7, 1.7)
    scale = _MEAN_SCALE * (1 + 0.022 * variation[0]) * (1 + np.array([0.02, 0.018, 0.022]) * variation[1:])
    matrix = _rotation(np.deg2rad(rng.normal(0, 2.0, 3))) @ np.diag(1 / scale)
    matrix += np.triu(rng.normal(0, 0.012, (3, 3)), 1)

    velocity = np.zeros((3, *COARSE.shape), np.float32)
    for length, amount in _WARPS:
        velocity += amount * np.stack([random_field(rng, COARSE, length) for _ in range(3)])
    # Points map from the subject to the template, so wide ventricles need an inward flow.
    ventricles = template.lattice.sample(
        template.ventricles, np.tensordot(matrix, COARSE.points(), 1).astype(np.float32)
    )
    swelling = float(np.log(0.75) + age * np.log(2.6 / 0.75) + rng.normal(0, 0.15))
    velocity -= flow_from_sources(COARSE, 1.3 * swelling * ventricles)
    relief = np.stack([random_field(rng, COARSE, 6.0) for _ in range(2)])
    return Anatomy(
        velocity=velocity,
        displacement=exponential(COARSE, velocity),
        matrix=matrix,
        fluid=float(-0.1 + 0.7 * age + rng.normal(0, 0.1)),
        relief=relief,
        trim=(rng.uniform(0.4, 1.8) + 0.6 * random_field(rng, COARSE, 18.0)).astype(np.float32),
        ventricle_scale=float(np.exp(swelling)),
    )


def _rotation(angles: np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        a, b = [d for d in range(3) if d != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix
