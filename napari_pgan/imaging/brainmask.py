"""The brain in a head with skull, from a template that has one."""

from __future__ import annotations

import functools
import gzip
import io
from dataclasses import dataclass
from importlib import resources

import nibabel as nib
import numpy as np
from scipy import ndimage

from napari_pgan.imaging.intensity import Foreground
from napari_pgan.imaging.registration import Pyramid, Registered, register
from napari_pgan.imaging.resampling import resample_image
from napari_pgan.imaging.volume import Volume

ROUND = 8.0  # mm round the template's brain that count in the registration: where it ends is what tells


@dataclass(frozen=True)
class Template:
    """A head or brain, and which of it is brain.

    Parameters
    ----------
    image
        Any contrast.
    brain
        bool, like the image.
    """

    image: Volume
    brain: np.ndarray

    @functools.cached_property
    def pyramid(self) -> Pyramid:
        """The image, made ready once; the similarity is measured in the brain and close round it."""
        away = ndimage.distance_transform_edt(~self.brain, sampling=self.image.spacing)
        head = Foreground(self.brain, float(np.median(self.image.array[~self.brain])), False)
        return Pyramid(self.image, head, region=away <= ROUND)


@functools.cache
def shipped_template() -> Template:
    """The ICBM 2009a average that comes with the package (see ``phantom/templates/NOTICE``), 2 mm, T1."""
    place = resources.files("napari_pgan").joinpath("phantom", "templates", "icbm152_t1_2mm.nii.gz")  # data, not code
    image = nib.Nifti1Image.from_stream(io.BytesIO(gzip.decompress(place.read_bytes())))
    array = np.ascontiguousarray(np.asarray(image.dataobj, np.float32).T)
    brain = ndimage.binary_closing(np.pad(array > 0.08 * 255, 3), iterations=2)
    return Template(Volume(array, np.array(image.affine)), ndimage.binary_fill_holes(brain)[3:-3, 3:-3, 3:-3])


def brain_mask(
    volume: Volume, head: Foreground | None = None, template: Template | None = None, threads: int = 1
) -> tuple[np.ndarray, Registered]:
    """Find the brain by an affine registration of a template.

    Parameters
    ----------
    volume
        A head with skull, of any contrast.
    head
        Its foreground; found when None.
    template
        What to bring onto it; the shipped one when None.
    threads
        That ITK may take.

    Returns
    -------
    mask
        bool, like the volume.
    registered
        From the template's to the volume's points, to be judged.

    Raises
    ------
    InputError
        The volume holds no head, or nothing like the template.
    """
    template = template or shipped_template()
    found = register(template.pyramid, Pyramid(volume, head), affine=True, threads=threads)
    brain = Volume(template.brain.astype(np.float32), template.image.affine)
    share = resample_image(brain, np.linalg.inv(found.matrix), volume.array.shape, volume.affine, 0.0, threads)
    return share.array > 0.5, found
