"""Smooth fields on grids in mm: random fields, flows and their deformations.

Arrays are in (z, y, x) order. Vector fields have their three components first, in mm and the same order. Results do not
depend on the number of processor cores, so a seed always gives the same bytes on one machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage


@dataclass(frozen=True)
class Lattice:
    """A grid of cubic voxels of `spacing` mm with the origin at its centre."""

    shape: tuple[int, int, int]
    spacing: float

    def axis(self, dimension: int) -> np.ndarray:
        """Return the voxel centres along one axis in mm, float32."""
        count = self.shape[dimension]
        return ((np.arange(count) - (count - 1) / 2) * self.spacing).astype(np.float32)

    def points(self) -> np.ndarray:
        """Return all voxel centres in mm, (3, z, y, x) float32."""
        return np.stack(np.meshgrid(*(self.axis(d) for d in range(3)), indexing="ij"))

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Convert points (3, ...) in mm to fractional indices of this grid."""
        centre = (np.array(self.shape, np.float32) - 1) / 2
        return points / np.float32(self.spacing) + centre.reshape(3, *[1] * (points.ndim - 1))

    def sample(self, field: np.ndarray, points: np.ndarray, order: int = 1, mode: str = "nearest") -> np.ndarray:
        """Interpolate a scalar or vector `field` of this grid at `points` (3, ...) in mm, float32."""
        index = self.indices(points)
        if field.ndim == 4:
            return np.stack([_at(component, index, order, mode) for component in field])
        return _at(field, index, order, mode)

    def resample(self, field: np.ndarray, axes: Sequence[np.ndarray]) -> np.ndarray:
        """Interpolate a field linearly, axis by axis, at the grid spanned by `axes` (three arrays of mm)."""
        for dimension, axis in enumerate(axes):
            at = axis / np.float32(self.spacing) + np.float32((self.shape[dimension] - 1) / 2)
            at = np.clip(at, 0, self.shape[dimension] - 1).astype(np.float32)
            low = np.minimum(at.astype(np.intp), self.shape[dimension] - 2)
            along = field.ndim - 3 + dimension
            weight = (at - low).reshape([-1 if d == along else 1 for d in range(field.ndim)])
            below, above = np.take(field, low, along), np.take(field, low + 1, along)
            field = below + weight * (above - below)
        return field

    def wavenumbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the angular wave numbers (1/mm) of `scipy.fft.rfftn` on this grid, broadcastable."""
        kz, ky = (2 * np.pi * fft.fftfreq(n, self.spacing) for n in self.shape[:2])
        kx = 2 * np.pi * fft.rfftfreq(self.shape[2], self.spacing)
        return kz[:, None, None], ky[None, :, None], kx[None, None, :]


def _at(field: np.ndarray, index: np.ndarray, order: int, mode: str) -> np.ndarray:
    return ndimage.map_coordinates(field, index, order=order, mode=mode, output=np.float32, prefilter=order > 1)


def random_field(rng: np.random.Generator, lattice: Lattice, scale: float) -> np.ndarray:
    """Draw a periodic Gaussian random field with mean 0, variance 1 and correlation length `scale` mm; float32."""
    k2 = sum(k**2 for k in lattice.wavenumbers())
    noise = fft.rfftn(rng.standard_normal(lattice.shape, np.float32))
    noise *= np.exp(-k2 * (scale**2 / 4)).astype(np.float32)
    noise[0, 0, 0] = 0
    field = fft.irfftn(noise, lattice.shape).astype(np.float32)
    return field / field.std()


def flow_from_sources(lattice: Lattice, sources: np.ndarray, smooth: float = 3.0) -> np.ndarray:
    """Return the irrotational flow with divergence `sources`, which points outwards from positive sources.

    Without sources the flow preserves volume, like soft tissue around a growing mass. The Poisson equation is solved by
    Fourier transform after Gaussian smoothing of the sources by `smooth` mm.

    Returns
    -------
    numpy.ndarray
        (3, z, y, x) float32, mm.
    """
    k = lattice.wavenumbers()
    k2 = np.square(k[0]) + np.square(k[1]) + np.square(k[2])
    k2[0, 0, 0] = 1
    potential = fft.rfftn(sources.astype(np.float32)) * (-np.exp(-k2 * (smooth**2 / 2)) / k2).astype(np.float32)
    potential[0, 0, 0] = 0
    flow = [fft.irfftn(1j * c.astype(np.float32) * potential, lattice.shape) for c in k]
    return np.stack(flow).astype(np.float32)


def exponential(lattice: Lattice, velocity: np.ndarray, steps: int = 4) -> np.ndarray:
    """Integrate a stationary `velocity` (3, z, y, x) over unit time to a displacement, by scaling and squaring.

    A smooth velocity gives a diffeomorphism; ``-velocity`` gives its inverse.
    Arsigny et al. 2006, MICCAI, "A log-Euclidean framework for statistics on diffeomorphisms".
    """
    displacement = (velocity / 2**steps).astype(np.float32)
    points = lattice.points()
    for _ in range(steps):
        displacement = displacement + lattice.sample(displacement, points + displacement)
    return displacement


def follow(lattice: Lattice, velocity: np.ndarray, points: np.ndarray, steps: int = 8) -> np.ndarray:
    """Move `points` (3, n) in mm along `velocity` for unit time (midpoint rule)."""
    for _ in range(steps):
        half = points + lattice.sample(velocity, points) / (2 * steps)
        points = points + lattice.sample(velocity, half) / steps
    return points


def jacobian(lattice: Lattice, displacement: np.ndarray) -> np.ndarray:
    """Return the Jacobian determinant of x → x + displacement(x), positive without folding."""
    gradient = np.stack([np.stack(np.gradient(component, lattice.spacing)) for component in displacement])
    matrix = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3, dtype=np.float32)
    return np.linalg.det(matrix)
