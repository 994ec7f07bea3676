"""Volumes: read, oriented exactly, written."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel import orientations as axes

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError

READABLE = (".nii.gz", ".nii", ".mha")
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class VolumeError(InputError):
    """A file that holds no volume one could use.

    Attributes
    ----------
    path
        The file.
    problem
        What is wrong with it and what to do, without its name: ``"is truncated; fetch it again"``.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        super().__init__(f"{os.fspath(path)} {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True)
class Volume:
    """A scalar volume and where it lies.

    Parameters
    ----------
    array
        (z, y, x): the last axis is the first of the file, as in SimpleITK.
    affine
        4×4, from indices (x, y, z) to millimetres in RAS, as in NIfTI.
    """

    array: np.ndarray
    affine: np.ndarray

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres between voxels, in array order (z, y, x)."""
        return tuple(float(s) for s in np.linalg.norm(self.affine[:3, :3], axis=0)[::-1])

    @property
    def orientation(self) -> str:
        """One letter an axis in array order: the side of the patient nearest to where its index grows."""
        return "".join(nib.aff2axcodes(self.affine)[::-1])

    def same_grid(self, other: Volume, tolerance: float = 1e-2) -> bool:
        """Whether the voxels of both lie in the same places, to within `tolerance` mm at the corners."""
        if self.array.shape != other.array.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.array.shape[::-1]])).reshape(3, -1)
        difference = self.affine - other.affine
        return bool(np.abs(difference[:3, :3] @ corners + difference[:3, 3:]).max() <= tolerance)


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a NIfTI or MetaImage file, with the axes as the file has them.

    Integers stay integers unless the file scales them; other numbers become float32. Trailing axes of length 1 are
    dropped. A compressed file is checked against its checksum, since libraries return what they could read of a
    truncated one.

    Raises
    ------
    VolumeError
        The file is missing, truncated or damaged, not three-dimensional, without sound spacing, or holds NaN or Inf.
    """
    name = Path(path).name.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            array, affine = _read_nifti(path)
        elif name.endswith(".mha"):
            array, affine = _read_metaimage(path)
        else:
            raise VolumeError(path, f"is none of the formats that can be read ({', '.join(READABLE)})")
    except FileNotFoundError as error:
        raise VolumeError(path, "does not exist") from error
    except OSError as error:
        raise VolumeError(path, f"cannot be read ({error.strerror or 'input error'})") from error
    while array.ndim > 3 and array.shape[0] == 1:  # (z, y, x) with the file's trailing axes in front
        array = array[0]
    if array.ndim != 3 or min(array.shape) < 1:
        shape = " x ".join(map(str, array.shape[::-1]))
        raise VolumeError(path, f"is {shape} with {array.ndim} axes; a volume has three")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (spacing > 0).all() or abs(np.linalg.det(affine[:3, :3] / spacing)) < 0.5:
        raise VolumeError(path, "has no sound spacing or axes in its header; repair the header")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        raise VolumeError(path, f"holds NaN or Inf in {count} voxels; replace them")
    return Volume(array, affine)


def orient(volume: Volume, orientation: str = "SPL") -> Volume:
    """The same voxels with axes permuted and flipped so that they point as asked; no voxel value changes.

    Oblique volumes get the nearest such order, and keep their obliqueness in the affine.

    Parameters
    ----------
    volume
        Any volume.
    orientation
        One letter an axis in array order, e.g. ``"SPL"``: z grows upwards, y to the back, x to the patient's left.
    """
    if volume.orientation == orientation:
        return volume
    have = axes.io_orientation(volume.affine)
    change = axes.ornt_transform(have, axes.axcodes2ornt(tuple(orientation[::-1])))
    array = axes.apply_orientation(volume.array.T, change).T
    return Volume(array, volume.affine @ axes.inv_ornt_aff(change, volume.array.shape[::-1]))


def write_volume(path: str | os.PathLike[str], volume: Volume) -> None:
    """Write NIfTI (``.nii`` or ``.nii.gz``), whole or not at all; spacing in mm, space "scanner"."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = nib.Nifti1Image(array.T, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code="scanner")
    image.set_qform(volume.affine, code="scanner")
    with replacing(path) as temporary:
        nib.save(image, temporary)


def _read_nifti(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise VolumeError(path, "is truncated or damaged; fetch it again") from error
    kind = nib.Nifti2Image if data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    try:
        image = kind.from_bytes(data)
        proxy: Any = image.dataobj
        array, slope, inter = np.asarray(proxy.get_unscaled()), proxy.slope, proxy.inter
        affine, unit = np.array(image.affine, np.float64), image.header.get_xyzt_units()[0]
    except OSError as error:
        raise VolumeError(path, "is truncated or damaged; fetch it again") from error
    except Exception as error:  # nibabel raises many kinds for a damaged header
        raise VolumeError(path, "is no readable NIfTI file; fetch it again") from error
    if array.dtype.kind not in "uif":
        raise VolumeError(path, f"holds voxels of type {array.dtype}; real numbers are expected")
    array = array.astype(array.dtype.newbyteorder("="), copy=False).T
    if array.dtype.kind == "f" or slope != 1 or inter != 0:
        with np.errstate(over="ignore"):  # becomes Inf, which is refused
            array = array.astype(np.float32) if (slope, inter) == (1, 0) else _scaled(array, slope, inter)
    affine[:3] *= _MILLIMETRES.get(unit, 1.0)
    return array, affine


def _scaled(array: np.ndarray, slope: float, inter: float) -> np.ndarray:
    scaled = array.astype(np.float32)
    scaled *= np.float32(slope)
    scaled += np.float32(inter)
    return scaled


def _read_metaimage(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    import SimpleITK as sitk

    if not Path(path).is_file():
        raise FileNotFoundError(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # it warns on stderr, past Python
    try:
        image = sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        raise VolumeError(path, "is truncated or damaged; fetch it again") from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeError(path, "has several values a voxel; one is expected")
    array: np.ndarray[Any, Any] = sitk.GetArrayFromImage(image)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    affine = np.eye(4)
    if image.GetDimension() >= 3:
        n = image.GetDimension()
        direction = np.array(image.GetDirection()).reshape(n, n)[:3, :3]
        affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
        affine[:3, 3] = np.array(image.GetOrigin())[:3]
    return array, _LPS @ affine
