"""The shipped head template: an average brain with a synthetic skull and scalp."""

from __future__ import annotations

import functools
import gzip
from dataclasses import dataclass
from importlib import resources

import nibabel as nib
import numpy as np
from scipy import ndimage

from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.register import Pyramid

VOXEL = 2.0  # mm, of the shipped maps
PADDING = 16  # voxels around the maps, for the skull
# Values rise from air to white matter, so a mixture of two neighbouring tissues does not resemble a third one. Mutual
# information then fits the one image to any modality.
AIR, SCALP, BONE, FLUID, GREY, WHITE = 0.0, 60.0, 100.0, 150.0, 200.0, 250.0
FLUID_ENDS, BONE_ENDS, SCALP_ENDS = 2.0, 9.0, 17.0  # mm from the brain
HOLLOW = 20.0  # mm; see `distances_outside`
BASE = -25.0  # mm in MNI space; below are face and neck, which the template lacks
CLOSE = 8.0  # mm around the brain that a registration always includes
HEAD_MARGIN = 30.0  # mm around the brain included above the base: air outside the scalp determines the size
BRAIN_MARGIN = 25.0  # mm around a skull-stripped brain


@dataclass(frozen=True)
class Template:
    """A head image with masks, bool."""

    image: Volume
    brain: np.ndarray
    head: np.ndarray  # without face and neck where these are not representative
    region: np.ndarray  # in which other heads should resemble the template

    @functools.cached_property
    def pyramid(self) -> Pyramid:
        """Registration reference for heads with skull, computed once."""
        return Pyramid(self.image, Foreground(self.head, AIR, False), region=self.region)

    @functools.cached_property
    def brain_pyramid(self) -> Pyramid:
        """Registration reference for skull-stripped brains, computed once."""
        outside = ndimage.distance_transform_edt(~self.brain, sampling=self.image.spacing)
        return Pyramid(self.image, Foreground(self.brain, AIR, True), region=outside <= BRAIN_MARGIN)


@functools.cache
def shipped_template() -> Template:
    """Return the shipped ICBM 2009a average (see ``phantom/templates/NOTICE``) at 2 mm.

    The maps contain only the brain. Fluid, skull and scalp are added as shells of constant distance to it.
    """
    (t1, affine), (grey, _), (white, _) = (read_map(name) for name in ("t1", "grey", "white"))
    shifted = np.eye(4)
    shifted[:3, 3] = -PADDING
    affine = affine @ shifted
    t1, grey, white = (np.pad(array, PADDING) for array in (t1, grey, white))
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 0.08, iterations=2))
    near, out = distances_outside(brain, VOXEL)
    fluid = np.clip(1 - grey - white, 0, 1)
    image = np.where(brain, (WHITE * white + GREY * grey + FLUID * fluid) / (white + grey + fluid), FLUID)
    image += (BONE - FLUID) * _beyond(out, FLUID_ENDS) * ~brain
    image += (SCALP - BONE) * _beyond(out, BONE_ENDS) + (AIR - SCALP) * _beyond(out, SCALP_ENDS)
    z, y, x = np.ogrid[tuple(slice(n) for n in image.shape)]
    above = affine[2, 0] * x + affine[2, 1] * y + affine[2, 2] * z + affine[2, 3] > BASE
    return Template(
        Volume(image.astype(np.float32), affine),
        brain,
        brain | (above & (out < SCALP_ENDS)),
        (near <= CLOSE) | (above & (out < HEAD_MARGIN)),
    )


def read_map(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a shipped map (``"t1"``, ``"grey"`` or ``"white"``), (z, y, x) float32 in [0, 1], and its affine."""
    file = resources.files("napari_pgan").joinpath("phantom", "templates", f"icbm152_{name}_2mm.nii.gz")
    image = nib.Nifti1Image.from_bytes(gzip.decompress(file.read_bytes()))
    return np.ascontiguousarray(np.asarray(image.dataobj, np.float32).T) / 255, np.array(image.affine)


def distances_outside(brain: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return distances in mm, (z, y, x) each: to the brain, and to the surface of the brain with filled hollows.

    Hollows narrower than twice `HOLLOW` are filled, since the skull does not follow them.
    """
    steps = round(HOLLOW / spacing) + 1
    inner = (slice(steps, -steps),) * 3
    padded = np.pad(brain, steps)
    near = ndimage.distance_transform_edt(~padded) * spacing
    filled = (ndimage.distance_transform_edt(near < HOLLOW) * spacing > HOLLOW) | padded
    return near[inner], ndimage.distance_transform_edt(~filled[inner]) * spacing - spacing / 2


def _beyond(distance: np.ndarray, edge: float) -> np.ndarray:
    """Smooth step from 0 to 1 at `edge` mm, about one voxel wide."""
    step: np.ndarray = 0.5 * (1 + np.tanh(distance - edge))
    return step
