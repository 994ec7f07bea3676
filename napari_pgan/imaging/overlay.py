"""A picture of a registration: two volumes in one chequerboard, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pgan.atomic import replacing
from napari_pgan.imaging.itk import at_most, to_array, to_transform
from napari_pgan.imaging.registration import LEVELS, Pyramid

if TYPE_CHECKING:
    import SimpleITK as sitk

PIXEL = 1.5  # mm
FIELD = 23  # pixels a field of the board
MARGIN = 8.0  # mm round the head


def overlay(reference: Pyramid, moving: Pyramid, matrix: np.ndarray) -> np.ndarray:
    """Two rows, before and after, of three planes through the middle of the reference's head.

    Fields of the board show the reference and the moving volume in turn, so that edges run on where both agree.

    Returns
    -------
    picture
        uint8 (height, width); axial, coronal and sagittal with the nose, the crown and the crown on top.
    """
    rows = []
    for pose in (np.eye(4), matrix):
        planes = []
        for across in (2, 1, 0):
            own = _plane(reference, reference, np.eye(4), across)
            other = _plane(moving, reference, pose, across)
            y, x = np.ogrid[: own.shape[0], : own.shape[1]]
            planes.append(np.where((y // FIELD + x // FIELD) % 2 == 0, own, other))
        height = max(len(plane) for plane in planes)
        rows.append(np.hstack([np.pad(plane, ((0, height - len(plane)), (0, 4))) for plane in planes]))
    picture: np.ndarray = np.vstack([np.pad(row, ((0, 4), (0, 0))) for row in rows])
    return picture


def write_overlay(path: Path, reference: Pyramid, moving: Pyramid, matrix: np.ndarray) -> None:
    """Write the picture as PNG."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(overlay(reference, moving, matrix)).save(temporary, format="PNG")


def _plane(shown: Pyramid, reference: Pyramid, matrix: np.ndarray, across: int) -> np.ndarray:
    """A plane across one axis of the patient (0: to the right, 1: forward, 2: up), grey values 0 to 255."""
    import SimpleITK as sitk

    low, high = reference.points.min(axis=0) - MARGIN, reference.points.max(axis=0) + MARGIN
    middle = (low + high) / 2
    size = np.ceil((high - low) / PIXEL).astype(int)
    size[across] = 1
    start = np.where(np.arange(3) == across, middle, low)
    method = sitk.ResampleImageFilter()
    method.SetSize(size.tolist())
    method.SetOutputSpacing([PIXEL] * 3)
    method.SetOutputDirection([-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0])  # the grid runs along RAS, ITK counts in LPS
    method.SetOutputOrigin((start * (-1, -1, 1)).tolist())
    method.SetTransform(to_transform(matrix))
    method.SetInterpolator(sitk.sitkLinear)
    image = shown.images[LEVELS[-1]]
    method.SetDefaultPixelValue(shown.fill)
    with at_most(1):
        array = np.squeeze(to_array(method.Execute(image)), axis=2 - across)
    picture = _grey(array, image, shown.fill)
    return picture[::-1, ::-1]  # up and forward on top, the patient's left on the right


def _grey(array: np.ndarray, image: sitk.Image, fill: float) -> np.ndarray:
    top = float(np.percentile(to_array(image), 99.5))
    grey: np.ndarray = np.clip((array - fill) / max(top - fill, 1e-6) * 255, 0, 255).astype(np.uint8)
    return grey
