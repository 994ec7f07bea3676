"""Read colour photographs, such as fundus photographs, and centre their fields of view."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from scipy import ndimage

from napari_pgan.imaging.cohorts.cohort import COLOURS, FIELD_MASK, PHOTOGRAPH, Source
from napari_pgan.imaging.io.errors import SubjectRejected, VolumeError
from napari_pgan.imaging.io.modality_names import SEGMENTATION
from napari_pgan.imaging.normalise.field_of_view import (
    area_averages,
    area_votes,
    crop_start,
    head_extent,
    pixel_weights,
)
from napari_pgan.imaging.preprocessing.subject import PreparedSubject, check_labels, label_values
from napari_pgan.schema import Channels

MARGIN = 0.02  # around the field of view, relative to its diameter
DARK = 0.12  # relative to the bright parts; darker pixels around are outside the field of view
MAX_VALUES = 32  # distinct values in a mask
RULE = "linear: black at -1, full scale of the file (255 in 8 bits) at +1; what lies outside the field of view is at -1"
MEANING = {"-1": "black, or outside the field of view", "+1": "full scale of the file, 255 in 8 bits"}
SLICE_RULE = "every photograph"


def read_photograph(path: str | os.PathLike[str]) -> np.ndarray:
    """Read PNG, JPEG, TIFF, GIF, BMP or PPM, rotated by its EXIF orientation: float32 (3, y, x) in [0, 1].

    Grey pictures get three equal channels.

    Raises
    ------
    VolumeError
        The file is missing, damaged, not a single picture, or larger than Pillow's limit.
    """
    image = _open(path)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = np.asarray(image, np.float32) / (65535 if image.mode != "F" else 1)
        if not np.isfinite(grey).all() or grey.min() < 0 or grey.max() > 1:
            raise VolumeError(path, "has values outside of 0 to full scale; save it with 8 bits per colour")
        return np.stack([grey] * 3)
    return np.moveaxis(np.asarray(image.convert("RGB"), np.float32) / 255, 2, 0)


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a label map stored as a picture, with the values of the file: (y, x).

    Raises
    ------
    VolumeError
        As `read_photograph`; or the picture has colours, or more values than masks have.
    """
    image = _open(path)
    if image.mode == "P":  # a grey palette holds values, any other palette colours them
        rgb = np.asarray(image.convert("RGB"))
        image = image.convert("L") if (rgb == rgb[..., :1]).all() else image
    array = np.asarray(image).astype(np.uint8) if image.mode == "1" else np.asarray(image)
    if array.ndim == 3:
        if (array[..., :3] != array[..., :1]).any():
            raise VolumeError(path, "has colours; a mask has one value per pixel")
        array = array[..., 0]
    if (count := len(np.unique(array))) > MAX_VALUES:
        raise VolumeError(path, f"contains {count} values, probably by lossy compression; save masks as PNG")
    return array


def find_field_of_view(photograph: np.ndarray) -> np.ndarray:
    """Segment the field of view of a camera against the dark surround: bool (y, x).

    It is the largest component whose brightest colour exceeds `DARK` of the 99th percentile, with holes filled. Without
    a dark surround it is the whole picture.

    Parameters
    ----------
    photograph
        (3, y, x).

    Raises
    ------
    SubjectRejected
        The picture has a single colour.
    """
    bright = ndimage.median_filter(photograph.max(axis=0), 5)
    if not bright.max() > bright.min():
        raise SubjectRejected("its photograph has a single colour; it contains no image")
    above = bright > DARK * np.percentile(bright, 99)
    parts, count = ndimage.label(above)
    largest = parts == 1 + np.bincount(parts.ravel(), minlength=count + 1)[1:].argmax()
    without_hair = ndimage.binary_dilation(ndimage.binary_erosion(largest, iterations=2, border_value=1), iterations=2)
    field: np.ndarray = ndimage.binary_fill_holes(without_hair & largest)
    corners = field[np.ix_((0, -1), (0, -1))]
    return np.ones_like(field) if corners.all() else field


def mask_values(files: Mapping[str, Source]) -> tuple[int, ...]:
    """Return the label values of a subject's masks.

    Raises
    ------
    SubjectRejected
        A mask cannot be read.
    """
    values: set[int] = set()
    for path in _paths(files[SEGMENTATION]):
        values |= set(label_values(_read(read_mask, path, "its segmentation")))
    return tuple(sorted(values))


def prepare_photographs(
    files: Mapping[str, Source], channels: Channels, size: int, ignored: Sequence[int] = ()
) -> PreparedSubject:
    """Resample a subject's photographs to squares of one size, one picture per slice.

    The field of view, given or segmented, is centred with a margin of 2 % of its diameter and scaled to one size for
    all cameras. Pixels are area averages.

    Parameters
    ----------
    files
        ``"photograph"``, ``"seg"`` if labels are declared, and optionally ``"field"``: one file per picture.
    channels
        Red, green and blue, and the declared labels.
    size
        Pixels per side.
    ignored
        Label values that count as background.

    Raises
    ------
    SubjectRejected
        A picture or mask cannot be used.
    """
    pictures = _paths(files[PHOTOGRAPH])
    masks = _paths(files[SEGMENTATION]) if channels.labels else (None,) * len(pictures)
    fields = _paths(files[FIELD_MASK]) if FIELD_MASK in files else (None,) * len(pictures)
    images = np.empty((len(COLOURS), len(pictures), size, size), np.float32)
    labels = np.zeros((len(pictures), size, size), np.uint8)
    shapes = []
    for z, (picture, mask, field) in enumerate(zip(pictures, masks, fields, strict=True)):
        photograph = _read(read_photograph, picture, "its photograph")
        inside = find_field_of_view(photograph) if field is None else _read(read_mask, field, "its field of view") > 0
        _check_shape(photograph, inside, "field of view")
        if not inside.any():
            raise SubjectRejected("its field of view is empty; nothing is marked in it")
        weights = _square_weights(inside, size)
        images[:, z] = area_averages(photograph * inside, weights)
        if mask is not None:
            segmentation = _read(read_mask, mask, "its segmentation")
            _check_shape(photograph, segmentation, "segmentation")
            segmentation = check_labels(segmentation, channels, ignored)
            labels[z] = area_votes(segmentation[None], channels.values, weights)[0]
        shapes.append(list(photograph.shape[1:]))
    images = np.clip(2 * images - 1, -1, 1)
    return PreparedSubject(images, labels, (1.0, 1.0, 1.0), tuple(range(len(pictures))), (0, len(pictures) - 1), {
        "normalisation": {}, "coverage": {}, "cut": 0.0,
        "provenance": {"software": f"napari-pgan {version('napari-pgan')}", "shapes": shapes},
    })  # fmt: skip


def _open(path: str | os.PathLike[str]) -> Image.Image:
    if not Path(path).is_file():
        raise VolumeError(path, "does not exist")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about tags
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if (frames := getattr(image, "n_frames", 1)) > 1:
                    raise VolumeError(path, f"contains {frames} pictures; one is expected")
                image.load()
                return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VolumeError(path, "has too many pixels to open safely; make it smaller") from error
    except VolumeError:
        raise
    except Exception as error:  # Pillow raises many types for a damaged file
        raise VolumeError(path, "is truncated, damaged or not a picture; fetch it again") from error


def _read(read: Callable[[Path], np.ndarray], path: Path, name: str) -> np.ndarray:
    try:
        return read(path)
    except VolumeError as error:
        raise SubjectRejected(f"{name} {error.problem}") from error


def _paths(source: Source) -> tuple[Path, ...]:
    assert isinstance(source, tuple)
    return source


def _check_shape(photograph: np.ndarray, other: np.ndarray, what: str) -> None:
    if photograph.shape[1:] != other.shape:
        ours, theirs = (" x ".join(map(str, shape[::-1])) for shape in (photograph.shape[1:], other.shape))
        raise SubjectRejected(f"its {what} is {theirs} pixels and its photograph {ours}; both must have the same size")


def _square_weights(field: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of rows and columns for the square around a field of view."""
    extent = head_extent(field[None], (1.0, 1.0, 1.0))
    side = float(np.ceil(extent.in_plane * (1 + 2 * MARGIN)))
    rows, columns = (
        pixel_weights(field.shape[axis - 1], crop_start(*extent.bounds[axis], 1.0, side), side, size) for axis in (1, 2)
    )
    return rows, columns
