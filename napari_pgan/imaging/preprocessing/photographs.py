"""Colour photographs, such as of the fundus: read, their round field of view centred, outside of it black."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

from napari_pgan.imaging.cohorts.cohort import COLOURS, FIELD_MASK, PHOTOGRAPH, Source
from napari_pgan.imaging.io.errors import SubjectRejected, VolumeError
from napari_pgan.imaging.io.parts import SEGMENTATION
from napari_pgan.imaging.normalise.field_of_view import (
    area_averages,
    area_votes,
    crop_start,
    head_extent,
    pixel_weights,
)
from napari_pgan.imaging.preprocessing.subject import PreparedSubject, check_labels, label_values
from napari_pgan.schema import Channels

MARGIN = 0.02  # of the field's diameter, on every side
DARK = 0.12  # of the bright parts; what is darker around the field is not seen by the camera
MOST_VALUES = 32
RULE = "linear: black at -1, full scale of the file (255 in 8 bits) at +1; what lies outside the field of view is at -1"
MEANING = {"-1": "black, or outside the field of view", "+1": "full scale of the file, 255 in 8 bits"}
SLICE_RULE = "every photograph"


def read_photograph(path: str | os.PathLike[str]) -> np.ndarray:
    """Read PNG, JPEG, TIFF, GIF, BMP or PPM, turned as its camera says: float32 (3, y, x) in [0, 1].

    Grey pictures get three equal colours.

    Raises
    ------
    VolumeError
        The file is missing, damaged, no picture, several pictures in one, or larger than Pillow opens.
    """
    image = _opened(path)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = np.asarray(image, np.float32) / (65535 if image.mode != "F" else 1)
        if not np.isfinite(grey).all() or grey.min() < 0 or grey.max() > 1:
            raise VolumeError(path, "has values outside of 0 to full scale; save it with 8 bits a colour")
        return np.stack([grey] * 3)
    return np.moveaxis(np.asarray(image.convert("RGB"), np.float32) / 255, 2, 0)


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a label map that is stored as a picture, with the values that the file has: (y, x).

    Raises
    ------
    VolumeError
        As `read_photograph`; or it has colours, or so many values that it must be lossily compressed.
    """
    image = _opened(path)
    if image.mode == "P":  # a palette of greys stands for them, any other only colours the numbers
        shown = np.asarray(image.convert("RGB"))
        image = image.convert("L") if (shown == shown[..., :1]).all() else image
    array = np.asarray(image).astype(np.uint8) if image.mode == "1" else np.asarray(image)
    if array.ndim == 3:
        if (array[..., :3] != array[..., :1]).any():
            raise VolumeError(path, "has colours; a mask has one number a pixel")
        array = array[..., 0]
    if (count := len(np.unique(array))) > MOST_VALUES:
        raise VolumeError(path, f"holds {count} values, as lossy compression makes them; save masks as PNG")
    return array


def find_field_of_view(photograph: np.ndarray) -> np.ndarray:
    """The field of view of a camera, in which the picture is brighter than the dark around it: bool (y, x).

    It is the largest part in which the brightest colour is above `DARK` of what bright parts have, without holes. A
    picture without a dark surround is field all over.

    Parameters
    ----------
    photograph
        (3, y, x).

    Raises
    ------
    SubjectRejected
        The picture is of one colour.
    """
    bright = ndimage.median_filter(photograph.max(axis=0), 5)
    if not bright.max() > bright.min():
        raise SubjectRejected("its photograph is of one colour; it holds no image")
    above = bright > DARK * np.percentile(bright, 99)
    parts, count = ndimage.label(above)
    largest = parts == 1 + np.bincount(parts.ravel(), minlength=count + 1)[1:].argmax()
    without_hair = ndimage.binary_dilation(ndimage.binary_erosion(largest, iterations=2, border_value=1), iterations=2)
    field: np.ndarray = ndimage.binary_fill_holes(without_hair & largest)
    corners = field[np.ix_((0, -1), (0, -1))]
    return np.ones_like(field) if corners.all() else field


def mask_values(files: Mapping[str, Source]) -> tuple[int, ...]:
    """The label values of a subject's masks.

    Raises
    ------
    SubjectRejected
        A mask cannot be read.
    """
    found: set[int] = set()
    for path in _paths(files[SEGMENTATION]):
        found |= set(label_values(_read(read_mask, path, "its segmentation")))
    return tuple(sorted(found))


def prepare_photographs(
    files: Mapping[str, Source], channels: Channels, size: int, ignored: Sequence[int] = ()
) -> PreparedSubject:
    """Bring a subject's photographs to squares of one size, one picture a slice.

    The field of view, given or found, is centred with a margin of 2 % of its diameter and keeps its shape; every
    picture has its own scale, so fields of view are of one size whatever the camera. Pixels are area averages.

    Parameters
    ----------
    files
        ``"photograph"``, ``"seg"`` where labels are declared, and ``"field"`` where given: a file a picture.
    channels
        Red, green and blue, and the labels.
    size
        Pixels along each side.
    ignored
        Label values that count as background.

    Raises
    ------
    SubjectRejected
        With the reason.
    """
    pictures = _paths(files[PHOTOGRAPH])
    masks = _paths(files[SEGMENTATION]) if channels.labels else (None,) * len(pictures)
    fields = _paths(files[FIELD_MASK]) if FIELD_MASK in files else (None,) * len(pictures)
    images = np.empty((len(COLOURS), len(pictures), size, size), np.float32)
    labels = np.zeros((len(pictures), size, size), np.uint8)
    shapes = []
    for z, (picture, mask, field) in enumerate(zip(pictures, masks, fields, strict=True)):
        photograph = _read(read_photograph, picture, "its photograph")
        seen = find_field_of_view(photograph) if field is None else _read(read_mask, field, "its field of view") > 0
        _refuse_other_shape(photograph, seen, "field of view")
        if not seen.any():
            raise SubjectRejected("its field of view is empty; nothing is marked in it")
        weights = _window(seen, size)
        images[:, z] = area_averages(photograph * seen, weights)
        if mask is not None:
            segmentation = _read(read_mask, mask, "its segmentation")
            _refuse_other_shape(photograph, segmentation, "segmentation")
            segmentation = np.where(np.isin(segmentation, ignored), 0, segmentation)
            check_labels(segmentation, channels)
            labels[z] = area_votes(segmentation[None], channels.values, weights)[0]
        shapes.append(list(photograph.shape[1:]))
    images = np.clip(2 * images - 1, -1, 1)
    return PreparedSubject(images, labels, (1.0, 1.0, 1.0), tuple(range(len(pictures))), (0, len(pictures) - 1), {
        "normalisation": {}, "coverage": {}, "cut": 0.0,
        "provenance": {"software": f"napari-pgan {version('napari-pgan')}", "shapes": shapes},
    })  # fmt: skip


def _opened(path: str | os.PathLike[str]) -> Image.Image:
    if not Path(path).is_file():
        raise VolumeError(path, "does not exist")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags, which may hold anything
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if (frames := getattr(image, "n_frames", 1)) > 1:
                    raise VolumeError(path, f"holds {frames} pictures; one is expected")
                image.load()
                return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VolumeError(path, "has more pixels than are opened without asking; make it smaller") from error
    except VolumeError:
        raise
    except Exception as error:  # Pillow raises many kinds for a damaged file
        raise VolumeError(path, "is truncated, damaged or no picture; fetch it again") from error


def _read(read: Any, path: Path, what: str) -> np.ndarray:
    try:
        array: np.ndarray = read(path)
    except VolumeError as error:
        raise SubjectRejected(f"{what} {error.problem}") from error
    return array


def _paths(source: Source) -> tuple[Path, ...]:
    assert isinstance(source, tuple)
    return source


def _refuse_other_shape(photograph: np.ndarray, other: np.ndarray, what: str) -> None:
    if photograph.shape[1:] != other.shape:
        ours, theirs = (" x ".join(map(str, shape[::-1])) for shape in (photograph.shape[1:], other.shape))
        raise SubjectRejected(f"its {what} is {theirs} pixels and its photograph {ours}; they must be of one size")


def _window(field: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of rows and columns of the square around a field of view."""
    extent = head_extent(field[None], (1.0, 1.0, 1.0))
    side = float(np.ceil(extent.in_plane * (1 + 2 * MARGIN)))
    rows, columns = (
        pixel_weights(field.shape[axis - 1], crop_start(*extent.bounds[axis], 1.0, side), side, size) for axis in (1, 2)
    )
    return rows, columns
