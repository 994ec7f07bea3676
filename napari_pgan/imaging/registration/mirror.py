"""Left and right: whether one volume of a head is more like the mirror image of another than like the other itself."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from napari_pgan.imaging.io.itk import limit_threads
from napari_pgan.imaging.registration.register import LEVELS, Pyramid, optimise, similarity

if TYPE_CHECKING:
    import SimpleITK as sitk

PLAIN = 0.9  # below this ratio at the coarsest level, nothing finer makes the mirror image the more alike


class Mirror:
    """The mirror image of a head, left for right, laid over the head itself as well as its asymmetry lets it.

    Parameters
    ----------
    reference
        The head.
    threads
        That ITK may take.
    """

    def __init__(self, reference: Pyramid, threads: int = 1) -> None:
        self.reference = reference
        self.image = copy.copy(reference)
        across = -2 * float(reference.centre[0])  # ITK counts to the left
        self.image.images = {mm: _mirrored(image, across) for mm, image in reference.images.items()}
        self.image.region, self.image.head = (_mirrored(mask, across) for mask in (reference.region, reference.head))
        self.image.points = reference.points * (-1, 1, 1) + (2 * reference.centre[0], 0, 0)
        with limit_threads(threads):  # a head that is turned has its own plane of symmetry elsewhere
            self.pose = optimise(self.image, reference, LEVELS[0], np.eye(4), 8.0, 0.5)[0]

    def similarity_ratio(self, moving: Pyramid, matrix: np.ndarray, threads: int = 1, *, affine: bool = False) -> float:
        """Mutual information of a volume with the mirror image, over that with the head itself.

        Parameters
        ----------
        moving
            Registered to the head.
        matrix
            How: 4×4, from the head's points to the moving volume's.
        threads
            That ITK may take.
        affine
            Whether `matrix` has scale and shear, which are then fitted to the mirror image as well.

        Returns
        -------
        ratio
            Above 1 where the mirror image is more alike.
        """
        with limit_threads(threads):
            own = similarity(self.reference, moving, matrix, LEVELS[0])
            pose, alike = optimise(self.image, moving, LEVELS[0], matrix @ self.pose, 4.0, 0.2, affine)
            if -alike < PLAIN * own:
                return max(0.0, -alike / own)
            straight = optimise(self.reference, moving, LEVELS[1], matrix, 1.0, 0.05, affine)[1]
            mirrored = optimise(self.image, moving, LEVELS[1], pose, 1.0, 0.05, affine)[1]
        return float(mirrored / straight) if np.isfinite(mirrored) and straight < 0 else 0.0


def _mirrored(image: sitk.Image, across: float) -> sitk.Image:
    """The same voxels, lying elsewhere: x of ITK's millimetres becomes `across` - x."""
    import SimpleITK as sitk

    turned = sitk.Image(image)  # voxels are shared until one of both is written to
    x, y, z = image.GetOrigin()
    turned.SetOrigin((across - x, y, z))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    turned.SetDirection((np.diag([-1.0, 1.0, 1.0]) @ direction).ravel().tolist())
    return turned
