"""Read and write NIfTI files with nibabel."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.imageglobals import logger

from napari_pgan.atomic import replacing
from napari_pgan.imaging.io.errors import VolumeError

_READING = ContextVar("reading", default=False)  # per context, so that other threads keep their log
logger.addFilter(lambda record: not _READING.get())
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read an array (…, z, y, x) and its affine in RAS, without checking the content.

    Raises
    ------
    VolumeError
        The file is truncated or damaged, or does not hold real numbers.
    """
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise VolumeError(path, "is truncated or damaged; fetch it again") from error
    kind = nib.Nifti2Image if data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    try:
        header = kind.header_class(data[: kind.header_class.sizeof_hdr], check=False)
        lengths = np.array(header["pixdim"][1:4], np.float64)
        with _without_log():
            image = kind.from_bytes(data)
        proxy: Any = image.dataobj
        array, slope, inter = np.asarray(proxy.get_unscaled()), proxy.slope, proxy.inter
        affine, unit = np.array(image.affine, np.float64), image.header.get_xyzt_units()[0]
    except OSError as error:
        raise VolumeError(path, "is truncated or damaged; fetch it again") from error
    except Exception as error:  # nibabel raises many types for a damaged header
        raise VolumeError(path, "is not a readable NIfTI file; fetch it again") from error
    lengths = lengths[: min(array.ndim, 3)]
    if header["sform_code"] == 0 and not (np.isfinite(lengths).all() and lengths.all()):
        # the affine comes from these lengths, and nibabel replaces 0 by 1
        raise VolumeError(path, "has an invalid spacing in its header; repair the header")
    if array.dtype.kind not in "uif":
        raise VolumeError(path, f"contains voxels of type {array.dtype}; real numbers are expected")
    array = array.astype(array.dtype.newbyteorder("="), copy=False).T
    if array.dtype.kind == "f" or slope != 1 or inter != 0:
        with np.errstate(over="ignore"):  # overflow becomes Inf, which `check_volume` refuses
            array = array.astype(np.float32) if (slope, inter) == (1, 0) else _scaled(array, slope, inter)
    affine[:3] *= _MILLIMETRES.get(unit, 1.0)
    return array, affine


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Suppress nibabel's log of header problems: it names no file, and this module raises errors instead."""
    token = _READING.set(True)
    try:
        yield
    finally:
        _READING.reset(token)


def write(path: str | os.PathLike[str], array: np.ndarray, affine: np.ndarray) -> None:
    """Write (z, y, x) atomically, with spacing in mm and the space "scanner"."""
    image = nib.Nifti1Image(array.T, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    with replacing(path) as temporary:
        nib.save(image, temporary)


def _scaled(array: np.ndarray, slope: float, inter: float) -> np.ndarray:
    scaled = array.astype(np.float32)
    scaled *= np.float32(slope)
    scaled += np.float32(inter)
    return scaled
