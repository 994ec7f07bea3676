"""The average brain from which all phantoms are derived."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_pgan.imaging.registration.head_template import read_map
from napari_pgan.phantom.fields import Lattice

# Vector from the centre of the maps to the anterior commissure (origin of MNI space), mm (z, y, x) towards S, P, L.
ORIGIN = np.array([-8.0, -17.0, 0.0], np.float32)


@dataclass(frozen=True)
class Template:
    """The ICBM 2009a maps on their 2 mm grid, (z, y, x) with indices towards S, P, L.

    Attributes
    ----------
    lattice
        Grid of the maps; its centre is the origin of phantom coordinates.
    white, grey
        Tissue fractions, 0 to 1, as cubic B-spline coefficients (for ``order=3`` without prefilter).
    inside
        Signed distance to the brain surface in mm, positive inside.
    ventricles
        Fraction of the lateral and third ventricles, 0 to 1.
    lobes
        Possible tumour origins: 1 in the cerebral hemispheres, 0 in cerebellum, brain stem and midline.
    """

    lattice: Lattice
    white: np.ndarray
    grey: np.ndarray
    inside: np.ndarray
    ventricles: np.ndarray
    lobes: np.ndarray


@functools.cache
def load_template() -> Template:
    """Read the shipped maps, once per process.

    Source: Fonov et al. 2011, NeuroImage 54:313, doi:10.1016/j.neuroimage.2010.07.033; see ``templates/NOTICE``.
    """
    t1, grey, white = (read_map(name)[0] for name in ("t1", "grey", "white"))
    lattice = Lattice(t1.shape, 2.0)
    head = np.pad(t1 > 0.08, 1)
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(head, iterations=2))[1:-1, 1:-1, 1:-1]
    padded = np.pad(brain, ((1, 0), (0, 0), (0, 0)), mode="edge")  # no surface where the edge cuts the stem
    inside = (ndimage.distance_transform_edt(padded) - ndimage.distance_transform_edt(~padded))[1:] * 2.0
    inside = ndimage.gaussian_filter(inside - np.sign(inside), 0.7).astype(np.float32)

    z, y, x = lattice.points() - ORIGIN.reshape(3, 1, 1, 1)
    fluid = np.clip(1 - grey - white, 0, 1) * brain
    box = (abs(x) < 36) & (y > -42) & (y < 58) & (z > -2) & (z < 32) & (inside > 14)
    # Exclude the Sylvian and interhemispheric fissures and the cistern behind the third ventricle.
    box &= ~((abs(x) > 22) & (y < 10)) & ~((abs(x) < 8) & ((y > 20) | (y < -22)))
    ventricles = ndimage.gaussian_filter(fluid * box, 0.6).astype(np.float32)
    cerebellum = (y > 36) & (z < -10 + 0.28 * (y - 36))
    stem = (abs(x) < 18) & (z < -4)
    lobes = (~cerebellum & ~stem & (abs(x) > 13) & (z > -32)).astype(np.float32)
    return Template(lattice, _spline(white), _spline(grey), inside, ventricles, lobes)


def _spline(data: np.ndarray) -> np.ndarray:
    return ndimage.spline_filter(data, 3, output=np.float32, mode="nearest")
