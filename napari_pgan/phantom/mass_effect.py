"""Mass effect: displacement of tissue by a growing lesion in a closed skull."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import linalg

from napari_pgan.phantom.anatomy import COARSE, Anatomy
from napari_pgan.phantom.fields import follow
from napari_pgan.phantom.template import ORIGIN, load_template

_FALX = 0.06  # mobility of tissue across the falx relative to elsewhere


def mass_effect(
    core: np.ndarray,
    oedema: np.ndarray,
    brain: np.ndarray,
    tissue: np.ndarray,
    template_points: np.ndarray,
    push: float,
) -> np.ndarray:
    """Return the flow that makes space for a lesion on the grid `COARSE`.

    Tissue preserves its volume; space comes from the ventricles, the sulci and the foramen magnum. The flow is the
    gradient of a potential with sources in the lesion, sinks in the fluid and no flux through the skull. The falx is
    almost impermeable, so the brain shifts below it. This is much simpler than the linear elasticity of Clatz et al.
    2005, IEEE TMI 24:1334.

    Parameters
    ----------
    core, oedema, brain
        (z, y, x) bool, before the mass effect.
    tissue
        (3, z, y, x) fractions of white matter, grey matter and fluid.
    template_points
        (3, z, y, x) template points in mm.
    push
        Logarithm of the volume growth of the core.

    Returns
    -------
    numpy.ndarray
        Velocity, (3, z, y, x) float32, mm.
    """
    template = load_template()
    ventricles = template.lattice.sample(template.ventricles, template_points)
    z, y, x = template_points - ORIGIN.reshape(3, 1, 1, 1)
    sources = push * (core + 0.2 * (oedema & ~core)) * brain
    stem = (z < -50) & (abs(x) < 15) & (y > 15) & (y < 50)
    sinks = (2 * ventricles + 0.5 * tissue[2] + stem) * brain * ~core
    room = np.where(core, 0, sinks)
    sources = ndimage.gaussian_filter(sources.astype(np.float64), 1.2) * brain
    sources -= room * (sources.sum() / room.sum())

    falx = (z > 22) | ((y < -30) & (z > 0)) | ((y > 45) & (z > 5))
    potential = _potential(brain, sources, np.where(falx, x, 1e3))
    flow = np.stack(np.gradient(_spread(potential, brain), COARSE.spacing))
    weight = ndimage.gaussian_filter(brain.astype(np.float32), 1.4)
    return np.stack([ndimage.gaussian_filter(c * brain, 1.4) / np.maximum(weight, 0.3) for c in flow]).astype(
        np.float32
    )


def midline_shift(anatomy: Anatomy, flow: np.ndarray) -> float:
    """Return the midline shift caused by `flow`: the largest displacement along x in mm.

    It is measured as in radiology, on the midline between the frontal horns and the pineal region.
    """
    points = COARSE.points()
    z, y, x = anatomy.to_template(points) - ORIGIN.reshape(3, 1, 1, 1)
    midline = points[:, (abs(x) < 2.2) & (z > -2) & (z < 28) & (y > -25) & (y < 40)]
    shift = (follow(COARSE, flow, midline) - midline)[2]
    return float(np.percentile(np.abs(shift), 98))


def _potential(brain: np.ndarray, sources: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Solve ∇·(c ∇φ) = sources without flux through the border of `brain`; c is small where `side` changes sign."""
    number = np.full(brain.shape, -1, np.int32)
    number[brain] = np.arange(int(brain.sum()), dtype=np.int32)
    ends, weights = [], []
    for axis in range(3):
        first = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        second = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = brain[first] & brain[second]
        ends.append(np.stack([number[first][both], number[second][both]]))
        weights.append(np.where((side[first] * side[second] < 0)[both], _FALX, 1.0))
    (low, high), weight = np.concatenate(ends, 1), np.concatenate(weights)
    count = int(brain.sum())
    joined = sparse.csr_matrix((np.r_[weight, weight], (np.r_[low, high], np.r_[high, low])), shape=(count, count))
    degree = np.asarray(joined.sum(1)).ravel() + 1e-5  # the small term fixes the free constant
    matrix = sparse.diags(degree) - joined
    right = -sources[brain] * COARSE.spacing**2
    solution, _ = linalg.cg(matrix, right, rtol=1e-3, maxiter=400, M=sparse.diags(1 / degree))
    potential = np.zeros(brain.shape, np.float32)
    potential[brain] = solution
    return potential


def _spread(field: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Extend a field outside `mask` by the nearest inside value, so that its border gradient is tangential."""
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return field[tuple(nearest)]
