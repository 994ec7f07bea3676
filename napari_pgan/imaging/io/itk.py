"""Conversion between arrays with affines and SimpleITK images and transforms; thread limits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import SimpleITK as sitk

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # between ITK's LPS and NIfTI's RAS


def to_itk(array: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Make a SimpleITK image.

    Parameters
    ----------
    array
        (z, y, x), any real type, or bool.
    affine
        4×4, from indices (x, y, z) to millimetres in RAS; the axes are made orthogonal, as ITK requires.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.view(np.uint8) if array.dtype == bool else array))
    set_geometry(image, affine)
    return image


def set_geometry(image: sitk.Image, affine: np.ndarray) -> None:
    """Set spacing, direction and origin of an image from an affine in RAS."""
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    u, _, v = np.linalg.svd(lps[:3, :3] / spacing)  # nearest orthogonal axes, since headers are rounded
    image.SetSpacing(spacing.tolist())
    image.SetDirection((u @ v).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())


def to_array(image: sitk.Image) -> np.ndarray:
    """Return the voxels (z, y, x)."""
    import SimpleITK as sitk

    array: np.ndarray[Any, Any] = sitk.GetArrayFromImage(image)
    return array


def to_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    """Make an ITK transform from a 4×4 matrix between points in RAS millimetres."""
    import SimpleITK as sitk

    lps = LPS @ matrix @ LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def to_matrix(transform: sitk.Transform) -> np.ndarray:
    """Return the 4×4 matrix, between points in RAS millimetres, of a linear transform with any centre."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    lps = np.eye(4)
    lps[:3, :3] = np.stack([np.array(transform.TransformPoint(tuple(p))) - origin for p in np.eye(3)], axis=1)
    lps[:3, 3] = origin
    matrix: np.ndarray = LPS @ lps @ LPS
    return matrix


@contextlib.contextmanager
def limit_threads(threads: int) -> Iterator[None]:
    """Limit the threads of ITK's filters in this process and suppress its warnings, which bypass Python."""
    import SimpleITK as sitk

    before, warned = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads(), sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
        sitk.ProcessObject.SetGlobalWarningDisplay(warned)
