"""Volumes: read, oriented exactly, written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import orientations as axes

from napari_pgan.errors import InputError
from napari_pgan.imaging.io import dicom, metaimage, nifti
from napari_pgan.imaging.io.errors import VolumeError

READABLE = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".nhdr", "DICOM")
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha")
SHEAR = 0.005  # cosine of the angle between two axes: 0.3 degrees, above what rounding of headers makes


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
    """Read NIfTI, MetaImage, NRRD or a DICOM series, with the axes as the file has them.

    Integers stay integers unless the file scales them; other numbers become float32. Trailing axes of length 1 are
    dropped, and a single slice (two axes) is a volume of one. A compressed file is checked against its checksum, since
    libraries return what they could read of a truncated one.

    Parameters
    ----------
    path
        A file; a folder that holds one DICOM series and nothing else of DICOM; or a `Series`.

    Raises
    ------
    VolumeError
        The file is missing, truncated or damaged, has more than three axes, has no sound spacing, sheared axes, or
        holds NaN or Inf.
    """
    try:
        array, affine = _reader(path)(path)
    except FileNotFoundError as error:
        raise VolumeError(path, "does not exist") from error
    except OSError as error:
        raise VolumeError(path, f"cannot be read ({error.strerror or 'input error'})") from error
    return check_volume(path, Volume(array, affine))


def check_volume(path: str | os.PathLike[str], read: Volume) -> Volume:
    """What was read, with three axes, if it is a volume at all.

    Raises
    ------
    VolumeError
        It has more than three axes, no sound spacing, sheared axes, or holds NaN or Inf.
    """
    array, affine = read.array, read.affine
    while array.ndim > 3 and array.shape[0] == 1:  # (z, y, x) with the file's trailing axes in front
        array = array[0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or min(array.shape) < 1:
        shape = " x ".join(map(str, array.shape[::-1]))
        raise VolumeError(path, f"is {shape} with {array.ndim} axes; a volume has three")
    if problem := _fault(affine):
        raise VolumeError(path, problem)
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
    """Write NIfTI, NRRD or MetaImage, as the name ends; whole or not at all; spacing in mm, space "scanner".

    Raises
    ------
    InputError
        The name ends in something else, or the disk does not take the file.
    """
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    name = Path(path).name.lower()
    if name.endswith((".nii", ".nii.gz")):
        nifti.write(path, array, volume.affine)
    elif name.endswith((".nrrd", ".mha")):
        metaimage.write(path, array, volume.affine)
    else:
        raise InputError(f"{os.fspath(path)}: volumes are written as {', '.join(WRITABLE)}; give it such an ending")


def _reader(path: str | os.PathLike[str]) -> Callable[[str | os.PathLike[str]], tuple[np.ndarray, np.ndarray]]:
    """What reads it: a function of the path that gives (…, z, y, x) and the affine in RAS."""
    name = Path(path).name.lower()
    if isinstance(path, dicom.Series) or Path(path).is_dir():
        return dicom.read
    if name.endswith((".nii", ".nii.gz")):
        return nifti.read
    if name.endswith(metaimage.SUFFIXES):
        return metaimage.read
    if dicom.is_dicom(path):
        return dicom.read
    raise VolumeError(path, f"is none of the formats that can be read ({', '.join(READABLE)})")


def _fault(affine: np.ndarray) -> str | None:
    """What is wrong with where the voxels lie, or None."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (spacing > 0).all():
        return "has no sound spacing in its header; repair the header"
    directions = affine[:3, :3] / spacing
    cosines = np.abs(directions.T @ directions - np.eye(3))
    if abs(np.linalg.det(directions)) < 0.5:
        return "has no sound axes in its header; repair the header"
    if cosines.max() > SHEAR:
        tilt = np.degrees(np.arcsin(min(cosines.max(), 1)))
        return f"has axes that are sheared by {tilt:.1f} degrees; resample it to a grid with right angles"
    return None
