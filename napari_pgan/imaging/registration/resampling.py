"""Resample volumes to another grid; read and write transforms."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.imaging.io.itk import limit_threads, set_geometry, sitk, to_array, to_itk, to_matrix, to_transform
from napari_pgan.imaging.io.volume import Volume


def resample_image(
    volume: Volume, matrix: np.ndarray, shape: tuple[int, ...], affine: np.ndarray, fill: float = 0.0
) -> Volume:
    """Resample an image to another grid with linear interpolation.

    If the new voxels are larger, the image is first smoothed to their size to prevent aliasing (Cardoso et al. 2015,
    doi:10.1007/978-3-319-24571-3_81).

    Parameters
    ----------
    volume
        Any image.
    matrix
        4×4, from points of the new grid to points of the volume, RAS mm.
    shape, affine
        Shape (z, y, x) of the new grid, and matrix from its (x, y, z) indices to RAS mm.
    fill
        Value outside the volume.

    Returns
    -------
    volume
        float32.
    """
    array = volume.array.astype(np.float32)
    sigma = _smoothing(volume.affine, matrix @ affine)
    if max(sigma) > 0:
        array = ndimage.gaussian_filter(array, sigma[::-1], mode="nearest", truncate=3)
    image = to_itk(array, volume.affine)
    return Volume(resample_to_grid(image, matrix, shape, affine, fill, sitk.sitkLinear), affine)


def resample_labels(
    volume: Volume, matrix: np.ndarray, shape: tuple[int, ...], affine: np.ndarray, *, smooth: bool = False
) -> Volume:
    """Resample a label map or mask to another grid without creating new values.

    Parameters
    ----------
    volume, matrix, shape, affine
        As in `resample_image`.
    smooth
        Take the label with the largest Gaussian-weighted sum (one voxel wide) of the surrounding voxels instead of the
        nearest neighbour (Schaerer et al. 2014, hdl:10380/3506). This smooths oblique borders and removes single
        voxels.
    """
    interpolator = sitk.sitkLabelGaussian if smooth else sitk.sitkNearestNeighbor
    array = resample_to_grid(to_itk(volume.array, volume.affine), matrix, shape, affine, 0, interpolator)
    return Volume(array.view(bool) if volume.array.dtype == bool else array, affine)


def write_transform(path: str | os.PathLike[str], matrix: np.ndarray) -> None:
    """Write a 4×4 matrix between RAS mm as an ITK transform (``.tfm``), as read by 3D Slicer and others."""
    with replacing(path) as temporary:
        sitk.WriteTransform(to_transform(matrix), os.fspath(temporary))


def read_transform(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a linear ITK transform as a 4×4 matrix between RAS mm.

    Raises
    ------
    InputError
        The file is missing or contains no linear transform.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; give an ITK transform (.tfm)")
    try:
        transform = sitk.ReadTransform(os.fspath(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read as an ITK transform; write it again") from error
    if transform.GetDimension() != 3 or not transform.IsLinear():
        raise InputError(f"{path} is not a linear transform of three dimensions; give a rigid or affine one")
    return to_matrix(transform)


def resample_to_grid(
    image: sitk.Image, matrix: np.ndarray, shape: tuple[int, ...], affine: np.ndarray, fill: float, interpolator: int
) -> np.ndarray:
    """Resample an ITK image to a grid with an ITK interpolator; parameters as in `resample_image`."""
    method = sitk.ResampleImageFilter()
    method.SetTransform(to_transform(matrix))
    method.SetInterpolator(interpolator)
    method.SetDefaultPixelValue(fill)
    method.SetSize([int(n) for n in shape[::-1]])
    grid = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    set_geometry(grid, affine)
    method.SetOutputOrigin(grid.GetOrigin())
    method.SetOutputSpacing(grid.GetSpacing())
    method.SetOutputDirection(grid.GetDirection())
    with limit_threads():
        return to_array(method.Execute(image))


def _smoothing(old: np.ndarray, new: np.ndarray) -> list[float]:
    """Gaussian standard deviations in old voxels (x, y, z) that smooth the old voxel size to the new one.

    Voxels are treated as boxes; the width of a new voxel along an old axis is that of its longest edge.
    """
    spacing = np.linalg.norm(old[:3, :3], axis=0)
    width = np.abs((old[:3, :3] / spacing).T @ new[:3, :3]).max(axis=1)
    variance = np.where(width > 1.2 * spacing, width**2 - spacing**2, 0.0)
    return [float(s) for s in np.sqrt(variance / 12) / spacing]
