"""Detect exchanged left and right: compare a volume with another one and with its mirror image."""

from __future__ import annotations

import copy

import numpy as np

from napari_pgan.imaging.io.itk import limit_threads, sitk
from napari_pgan.imaging.registration.register import LEVELS, Pyramid, optimise, similarity

DECIDED = 0.9  # below this ratio at the coarsest level, finer levels do not change the decision


class Mirror:
    """The left-right mirror image of a head, registered to the head itself."""

    def __init__(self, reference: Pyramid) -> None:
        self.reference = reference
        self.image = copy.copy(reference)
        across = -2 * float(reference.centre[0])  # ITK's x axis points left
        self.image.images = {mm: _mirrored(image, across) for mm, image in reference.images.items()}
        self.image.region, self.image.head = (_mirrored(mask, across) for mask in (reference.region, reference.head))
        self.image.points = reference.points * (-1, 1, 1) + (2 * reference.centre[0], 0, 0)
        with limit_threads():  # the symmetry plane of a rotated head is not x = constant
            self.pose = optimise(self.image, reference, LEVELS[0], np.eye(4), 8.0, 0.5)[0]

    def similarity_ratio(self, moving: Pyramid, matrix: np.ndarray, *, affine: bool = False) -> float:
        """Return the mutual information with the mirror image divided by that with the head itself.

        It is above 1 if the mirror image is more similar to `moving`. `matrix` maps the head's points to those of
        `moving`; with `affine`, it has scale and shear, which are then fitted to the mirror image, too.
        """
        with limit_threads():
            own = similarity(self.reference, moving, matrix, LEVELS[0])
            pose, value = optimise(self.image, moving, LEVELS[0], matrix @ self.pose, 4.0, 0.2, affine)
            if -value < DECIDED * own:
                return max(0.0, -value / own)
            direct = optimise(self.reference, moving, LEVELS[1], matrix, 1.0, 0.05, affine)[1]
            mirrored = optimise(self.image, moving, LEVELS[1], pose, 1.0, 0.05, affine)[1]
        return float(mirrored / direct) if np.isfinite(mirrored) and direct < 0 else 0.0


def _mirrored(image: sitk.Image, across: float) -> sitk.Image:
    """Copy with mirrored geometry: x in ITK's mm becomes `across` - x."""
    mirrored = sitk.Image(image)  # shares the voxels until one of the images is modified
    x, y, z = image.GetOrigin()
    mirrored.SetOrigin((across - x, y, z))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    mirrored.SetDirection((np.diag([-1.0, 1.0, 1.0]) @ direction).ravel().tolist())
    return mirrored
