"""Read and write MetaImage and NRRD files with SimpleITK."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from napari_pgan.atomic import replacing
from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.itk import LPS, sitk, to_array, to_itk

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
_HEADER_BYTES = 65536  # longer than any header up to its data file entry
_DATA_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read an array (…, z, y, x) and its affine in RAS, without checking the content.

    Raises
    ------
    VolumeError
        The file is truncated or damaged, names a data file outside its folder, or has several values per voxel.
    """
    image = read_image(path)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeError(path, "has several values per voxel; one is expected")
    return image_array(image), image_affine(image)


def read_image(path: str | os.PathLike[str]) -> sitk.Image:
    """Read a file as a SimpleITK image with its metadata.

    Raises
    ------
    VolumeError
        The file is truncated or damaged, or names a data file outside its folder.
    """
    _check_data_file(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK warns on stderr, bypassing Python
    try:
        return sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        if "orthonormal" in str(error) or "determinant" in str(error):
            raise VolumeError(path, "has sheared or invalid axes; resample it to right angles") from error
        raise VolumeError(path, "is truncated or damaged; fetch it again") from error


def image_array(image: sitk.Image) -> np.ndarray:
    """Return the voxels (…, z, y, x); integers stay integers, floats become float32."""
    array = to_array(image)
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def image_affine(image: sitk.Image) -> np.ndarray:
    """Return the affine from indices (x, y, z) to mm in RAS; a 2D image lies at z = 0 and is 1 mm thick."""
    affine = np.eye(4)
    n = image.GetDimension()
    m = min(n, 3)
    direction = np.array(image.GetDirection()).reshape(n, n)[:m, :m]
    affine[:m, :m] = direction * np.array(image.GetSpacing())[:m]
    affine[:m, 3] = np.array(image.GetOrigin())[:m]
    return np.asarray(LPS @ affine)


def write(
    path: str | os.PathLike[str], array: np.ndarray, affine: np.ndarray, header: dict[str, str] | None = None
) -> None:
    """Write (z, y, x) compressed and atomically, with further header entries if the format allows them."""
    image = to_itk(array, affine)
    for key, value in (header or {}).items():
        image.SetMetaData(key, value)
    with replacing(path) as temporary:
        sitk.WriteImage(image, os.fspath(temporary), True)


def _check_data_file(path: str | os.PathLike[str]) -> None:
    """Refuse a header whose data file is not in its own folder: it could name any file of the machine."""
    with open(path, "rb") as file:
        start = file.read(_HEADER_BYTES)
    for named in _DATA_FILE.findall(start):
        name = named.decode("utf-8", "replace").strip()
        if name.upper() == "LOCAL":
            break  # binary data follow
        if name.upper().startswith("LIST") or "%" in name:
            raise VolumeError(path, "spreads its data over several files; save it as one")
        elsewhere = name in ("", "..") or re.search(r"[\\/:]", name)
        if elsewhere or (Path(path).parent / name).resolve().parent != Path(path).resolve().parent:
            raise VolumeError(path, "names a data file outside its folder, which is not opened; save it as one file")
