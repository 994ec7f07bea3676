"""Conversion between arrays with affines and SimpleITK images and transforms; thread limits."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np


class _SimpleITK:
    """SimpleITK, imported at its first use, which most commands never reach."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("SimpleITK"), name)


if TYPE_CHECKING:
    import SimpleITK

    sitk = SimpleITK
else:
    sitk = _SimpleITK()

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # between ITK's LPS and NIfTI's RAS
_limited = ContextVar("_limited", default=False)  # whether `limit_threads` is active


def to_itk(array: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Make a SimpleITK image of an array (z, y, x), real or bool; axes are made orthogonal, as ITK requires."""
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
    array: np.ndarray[Any, Any] = sitk.GetArrayFromImage(image)
    return array


def to_transform(matrix: np.ndarray) -> sitk.AffineTransform:
    """Make an ITK transform from a 4×4 matrix between points in RAS millimetres."""
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
def limit_threads(threads: int = 1) -> Iterator[None]:
    """Limit the threads of ITK's filters in this process and suppress its warnings, which bypass Python.

    Within another limit it has no effect. The number of threads affects the last digits of a registration.
    """
    if _limited.get():
        yield
        return
    before, warned = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads(), sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    token = _limited.set(True)
    try:
        yield
    finally:
        _limited.reset(token)
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
        sitk.ProcessObject.SetGlobalWarningDisplay(warned)
