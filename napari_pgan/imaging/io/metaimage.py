"""MetaImage and NRRD files through ITK, in and out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pgan.atomic import replacing
from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.itk import LPS, to_array, to_itk

if TYPE_CHECKING:
    import SimpleITK as sitk

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
_HEADER_BYTES = 65536  # more than any header that names its data has before it does
_DATA_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """The array (…, z, y, x) and its affine to millimetres in RAS; what is in it is not judged here.

    Raises
    ------
    VolumeError
        The file is truncated or damaged, names a data file that is not beside it, or has several values a voxel.
    """
    image = read_image(path)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeError(path, "has several values a voxel; one is expected")
    return image_array(image), image_affine(image)


def read_image(path: str | os.PathLike[str]) -> sitk.Image:
    """The file as ITK has it, with what its header says.

    Raises
    ------
    VolumeError
        The file is truncated or damaged, or names a data file that is not beside it.
    """
    import SimpleITK as sitk

    _refuse_data_elsewhere(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # it warns on stderr, past Python
    try:
        return sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        if "orthonormal" in str(error) or "determinant" in str(error):
            raise VolumeError(path, "has axes that are sheared or not sound; resample it to right angles") from error
        raise VolumeError(path, "is truncated or damaged; fetch it again") from error


def image_array(image: sitk.Image) -> np.ndarray:
    """The voxels, (…, z, y, x); integers stay integers, other numbers become float32."""
    array = to_array(image)
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def image_affine(image: sitk.Image) -> np.ndarray:
    """From indices (x, y, z) to millimetres in RAS; a slice lies in the plane z = 0 and is 1 mm thick."""
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
    """Write (z, y, x) compressed, whole or not at all, with further entries of the header where the format has any."""
    import SimpleITK as sitk

    image = to_itk(array, affine)
    for key, value in (header or {}).items():
        image.SetMetaData(key, value)
    with replacing(path) as temporary:
        sitk.WriteImage(image, os.fspath(temporary), True)


def _refuse_data_elsewhere(path: str | os.PathLike[str]) -> None:
    """A header may name any file of the machine as its data; only one beside it is read."""
    with open(path, "rb") as file:
        start = file.read(_HEADER_BYTES)
    for named in _DATA_FILE.findall(start):
        name = named.decode("utf-8", "replace").strip()
        if name.upper() == "LOCAL":
            break  # the data begin here, and their bytes may look like anything
        if name.upper().startswith("LIST") or "%" in name:
            raise VolumeError(path, "spreads its data over several files; save it as one")
        if name in ("", "..") or re.search(r"[\\/:]", name):
            raise VolumeError(path, "names a data file outside its folder, which is not opened; save it as one file")
        if (Path(path).parent / name).resolve().parent != Path(path).resolve().parent:
            raise VolumeError(path, "names a data file outside its folder, which is not opened; save it as one file")
