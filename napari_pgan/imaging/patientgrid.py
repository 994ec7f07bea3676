"""From one grid to another: images by interpolation, labels without new values."""

from __future__ import annotations

import numpy as np

from napari_pgan.imaging.itkfiles import image_array, to_image
from napari_pgan.imaging.volume import Volume


def resample_onto(volume: Volume, reference: Volume, *, labels: bool = False, outside: float = 0.0) -> Volume:
    """The volume at the voxels of another one, as where a result goes back to its patient's own grid.

    Parameters
    ----------
    volume
        Image or label map.
    reference
        Whose shape and affine count; its voxels are not looked at.
    labels
        Take the nearest voxel, so that no value is made up; otherwise interpolate linearly, to float32.
    outside
        The value where the volume does not reach.
    """
    import SimpleITK as sitk

    if volume.same_grid(reference, tolerance=1e-4):
        return Volume(volume.array, reference.affine)
    array = volume.array if labels else volume.array.astype(np.float32)
    like = to_image(np.zeros(reference.array.shape, np.uint8), reference.affine)
    how = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    moved = sitk.Resample(to_image(array, volume.affine), like, sitk.Transform(), how, float(outside))
    return Volume(image_array(moved), reference.affine)
