"""Bringing a volume onto another grid through a transform, once, and keeping the transform."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.imaging.io.itk import limit_threads, set_geometry, to_array, to_itk, to_matrix, to_transform
from napari_pgan.imaging.io.volume import Volume

if TYPE_CHECKING:
    import SimpleITK as sitk


def resample_image(
    volume: Volume, matrix: np.ndarray, shape: tuple[int, ...], affine: np.ndarray, fill: float = 0.0, threads: int = 1
) -> Volume:
    """An image on another grid, linearly interpolated.

    Where the new voxels are the larger, the image is smoothed first by what their size adds, so that thin slices do
    not leave a pattern on thick ones (Cardoso et al. 2015, doi:10.1007/978-3-319-24571-3_81).

    Parameters
    ----------
    volume
        Any image.
    matrix
        4×4, from points of the new grid's space to points of the volume's, millimetres in RAS.
    shape, affine
        Of the new grid; (z, y, x), and from indices (x, y, z) to millimetres in RAS.
    fill
        For what lies outside the volume.
    threads
        That ITK may take.

    Returns
    -------
    volume
        float32.
    """
    array = volume.array.astype(np.float32)
    sigma = _widening(volume.affine, matrix @ affine)
    if max(sigma) > 0:
        array = ndimage.gaussian_filter(array, sigma[::-1], mode="nearest", truncate=3)
    return _resample(Volume(array, volume.affine), matrix, shape, affine, fill, "linear", threads)


def resample_labels(
    volume: Volume,
    matrix: np.ndarray,
    shape: tuple[int, ...],
    affine: np.ndarray,
    threads: int = 1,
    *,
    smooth: bool = False,
) -> Volume:
    """A label map or mask on another grid; no value is new. Parameters as above.

    Parameters
    ----------
    smooth
        Each voxel gets the value with the largest sum of Gaussian weights (one voxel wide) of the voxels round it
        (Schaerer et al. 2014, hdl:10380/3506), which rounds the steps of oblique borders, and lets single voxels go;
        otherwise the value of its nearest neighbour.
    """
    return _resample(volume, matrix, shape, affine, 0, "smooth" if smooth else "nearest", threads)


def write_transform(path: str | os.PathLike[str], matrix: np.ndarray) -> None:
    """Write a 4×4 matrix between RAS millimetres as a transform of ITK (``.tfm``), which 3D Slicer and others read."""
    import SimpleITK as sitk

    with replacing(path) as temporary:
        sitk.WriteTransform(to_transform(matrix), os.fspath(temporary))


def read_transform(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a linear transform of ITK as a 4×4 matrix between RAS millimetres.

    Raises
    ------
    InputError
        The file is missing, or holds no linear transform.
    """
    import SimpleITK as sitk

    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; name a transform of ITK (.tfm)")
    try:
        transform = sitk.ReadTransform(os.fspath(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read as a transform of ITK; write it again") from error
    if transform.GetDimension() != 3 or not transform.IsLinear():
        raise InputError(f"{path} is no linear transform of three dimensions; give a rigid or affine one")
    return to_matrix(transform)


def _resample(
    volume: Volume,
    matrix: np.ndarray,
    shape: tuple[int, ...],
    affine: np.ndarray,
    fill: float,
    how: Literal["linear", "nearest", "smooth"],
    threads: int,
) -> Volume:
    import SimpleITK as sitk

    kinds = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "smooth": sitk.sitkLabelGaussian}
    with limit_threads(threads):
        array = resample_to_grid(to_itk(volume.array, volume.affine), matrix, shape, affine, fill, kinds[how])
    return Volume(array.view(bool) if volume.array.dtype == bool else array, affine)


def resample_to_grid(
    image: sitk.Image, matrix: np.ndarray, shape: tuple[int, ...], affine: np.ndarray, fill: float, interpolator: int
) -> np.ndarray:
    """An image of ITK at the voxels of a grid, as one of ITK's interpolators has it there; parameters as above."""
    import SimpleITK as sitk

    method = sitk.ResampleImageFilter()
    method.SetTransform(to_transform(matrix))
    method.SetInterpolator(interpolator)
    method.SetDefaultPixelValue(fill)
    method.SetSize([int(n) for n in shape[::-1]])
    onto = sitk.Image([1, 1, 1], sitk.sitkUInt8)
    set_geometry(onto, affine)
    method.SetOutputOrigin(onto.GetOrigin())
    method.SetOutputSpacing(onto.GetSpacing())
    method.SetOutputDirection(onto.GetDirection())
    return to_array(method.Execute(image))


def _widening(have: np.ndarray, want: np.ndarray) -> list[float]:
    """Standard deviations in voxels (x, y, z) that widen the voxels of one grid to those of another.

    A voxel counts as a box; the new one's width along an old axis is that of its longest edge.
    """
    spacing = np.linalg.norm(have[:3, :3], axis=0)
    width = np.abs((have[:3, :3] / spacing).T @ want[:3, :3]).max(axis=1)
    more = np.where(width > 1.2 * spacing, width**2 - spacing**2, 0.0)
    return [float(s) for s in np.sqrt(more / 12) / spacing]
