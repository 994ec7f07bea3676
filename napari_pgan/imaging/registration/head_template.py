"""The average head that others are compared with: the brain that comes with the package, in a skull that is drawn."""

from __future__ import annotations

import functools
import gzip
import io
from dataclasses import dataclass
from importlib import resources

import nibabel as nib
import numpy as np
from scipy import ndimage

from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.register import Pyramid

VOXEL = 2.0  # mm, of the shipped maps
ROOM = 16  # voxels round the maps, for the skull
# The values rise from the air to the white matter, so that a voxel of two neighbours is mistaken for neither a third
# tissue nor a contrast: mutual information then fits the one picture to any modality.
AIR, SCALP, BONE, FLUID, GREY, WHITE = 0.0, 60.0, 100.0, 150.0, 200.0, 250.0
FLUID_ENDS, BONE_ENDS, SCALP_ENDS = 2.0, 9.0, 17.0  # mm from the brain
HOLLOW = 20.0  # mm; the outside of a head does not follow hollows of the brain narrower than twice this
BASE = -25.0  # mm in MNI space; below, a head is a face and a neck, unlike the drawn one
CLOSE = 8.0  # mm round the brain that count in a registration everywhere
AIR_COUNTS = 30.0  # mm from the brain, above the base, that count: what is outside the scalp holds the size


BRAIN_MARGIN = 25.0  # mm round a brain without skull


@dataclass(frozen=True)
class Template:
    """A head, and what is known of its voxels.

    Parameters
    ----------
    image
        Any contrast.
    brain
        bool, like the image.
    head
        bool, like the image; where a face or neck is not like those of others, without them.
    region
        bool, like the image: where others should be like it.
    """

    image: Volume
    brain: np.ndarray
    head: np.ndarray
    region: np.ndarray

    @functools.cached_property
    def pyramid(self) -> Pyramid:
        """The image, made ready once to be the reference of heads with skull."""
        return Pyramid(self.image, Foreground(self.head, AIR, False), region=self.region)

    @functools.cached_property
    def brain_pyramid(self) -> Pyramid:
        """The brain alone, made ready once to be the reference of brains without skull."""
        away = ndimage.distance_transform_edt(~self.brain, sampling=self.image.spacing)
        return Pyramid(self.image, Foreground(self.brain, AIR, True), region=away <= BRAIN_MARGIN)


@functools.cache
def shipped_template() -> Template:
    """The ICBM 2009a average that comes with the package (see ``phantom/templates/NOTICE``), 2 mm.

    The maps hold the brain alone. Fluid, skull and scalp are drawn round it as shells of the distance to it.
    """
    (t1, affine), (grey, _), (white, _) = (_read(name) for name in ("t1", "grey", "white"))
    shifted = np.eye(4)
    shifted[:3, 3] = -ROOM
    affine = affine @ shifted
    t1, grey, white = (np.pad(array, ROOM) for array in (t1, grey, white))
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 0.08, iterations=2))
    hull = ndimage.distance_transform_edt(ndimage.distance_transform_edt(~brain) * VOXEL < HOLLOW) * VOXEL > HOLLOW
    out = ndimage.distance_transform_edt(~(hull | brain)) * VOXEL - VOXEL / 2
    fluid = np.clip(1 - grey - white, 0, 1)
    image = np.where(brain, (WHITE * white + GREY * grey + FLUID * fluid) / (white + grey + fluid), FLUID)
    image += (BONE - FLUID) * _beyond(out, FLUID_ENDS) * ~brain
    image += (SCALP - BONE) * _beyond(out, BONE_ENDS) + (AIR - SCALP) * _beyond(out, SCALP_ENDS)
    z, y, x = np.ogrid[tuple(slice(n) for n in image.shape)]
    above = affine[2, 0] * x + affine[2, 1] * y + affine[2, 2] * z + affine[2, 3] > BASE
    near = ndimage.distance_transform_edt(~brain) * VOXEL <= CLOSE
    return Template(
        Volume(image.astype(np.float32), affine),
        brain,
        brain | (above & (out < SCALP_ENDS)),
        near | (above & (out < AIR_COUNTS)),
    )


def _read(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A shipped map, (z, y, x) float32 from 0 to 1, and its affine; data of another room, not its code."""
    place = resources.files("napari_pgan").joinpath("phantom", "templates", f"icbm152_{name}_2mm.nii.gz")
    image = nib.Nifti1Image.from_stream(io.BytesIO(gzip.decompress(place.read_bytes())))
    return np.ascontiguousarray(np.asarray(image.dataobj, np.float32).T) / 255, np.array(image.affine)


def _beyond(distance: np.ndarray, edge: float) -> np.ndarray:
    """0 within `edge` mm, 1 beyond, over about a voxel."""
    share: np.ndarray = 0.5 * (1 + np.tanh(distance - edge))
    return share
