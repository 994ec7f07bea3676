"""Read, orient and write volumes."""

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
MAX_SHEAR = 0.005  # cosine of the angle between two axes: 0.3 degrees, more than rounded headers cause


@dataclass(frozen=True)
class Volume:
    """A scalar volume with its affine.

    Parameters
    ----------
    array
        (z, y, x): the reverse of the file's axes, as in SimpleITK.
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
        """One letter per axis in array order: the side of the patient towards which its index grows."""
        return "".join(nib.aff2axcodes(self.affine)[::-1])

    def same_grid(self, other: Volume, tolerance: float = 1e-2) -> bool:
        """Return whether shapes are equal and corners agree to within `tolerance` mm."""
        if self.array.shape != other.array.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.array.shape[::-1]])).reshape(3, -1)
        difference = self.affine - other.affine
        return bool(np.abs(difference[:3, :3] @ corners + difference[:3, 3:]).max() <= tolerance)


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read NIfTI, MetaImage, NRRD or a DICOM series, in the file's axis order.

    Integers stay integers unless the file scales them; other numbers become float32. Trailing axes of length 1 are
    dropped; a two-dimensional image becomes a volume of one slice. The checksum of a compressed file is verified,
    because libraries return the readable part of a truncated one.

    Parameters
    ----------
    path
        A file, a folder with exactly one DICOM series, or a `Series`.

    Raises
    ------
    VolumeError
        The file is missing, truncated or damaged, or `check_volume` refuses its content.
    """
    try:
        array, affine = _reader(path)(path)
    except FileNotFoundError as error:
        raise VolumeError(path, "does not exist") from error
    except OSError as error:
        raise VolumeError(path, f"cannot be read ({error.strerror or 'input error'})") from error
    return check_volume(path, Volume(array, affine))


def check_volume(path: str | os.PathLike[str], volume: Volume) -> Volume:
    """Return a volume from a file with exactly three axes, checked.

    Raises
    ------
    VolumeError
        It has more than three axes, an invalid spacing, sheared axes, NaN or Inf.
    """
    array, affine = volume.array, volume.affine
    while array.ndim > 3 and array.shape[0] == 1:  # the file's trailing axes come first
        array = array[0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or min(array.shape) < 1:
        shape = " x ".join(map(str, array.shape[::-1]))
        raise VolumeError(path, f"is {shape} with {array.ndim} axes; a volume has three")
    if problem := _affine_problem(affine):
        raise VolumeError(path, problem)
    if array.dtype.kind == "f" and (count := int(array.size - np.isfinite(array).sum())):
        raise VolumeError(path, f"contains NaN or Inf in {count} voxels; replace them")
    return Volume(array, affine)


def orient(volume: Volume, orientation: str = "SPL") -> Volume:
    """Permute and flip the axes to an orientation; voxel values do not change.

    Oblique volumes get the nearest orientation; the affine stays oblique.

    Parameters
    ----------
    volume
        Any volume.
    orientation
        One letter per axis in array order, e.g. ``"SPL"``: z towards superior, y posterior, x left.
    """
    if volume.orientation == orientation:
        return volume
    have = axes.io_orientation(volume.affine)
    change = axes.ornt_transform(have, axes.axcodes2ornt(tuple(orientation[::-1])))
    array = axes.apply_orientation(volume.array.T, change).T
    return Volume(array, volume.affine @ axes.inv_ornt_aff(change, volume.array.shape[::-1]))


def write_volume(path: str | os.PathLike[str], volume: Volume) -> None:
    """Write NIfTI, NRRD or MetaImage, chosen by the suffix, atomically.

    Raises
    ------
    InputError
        The suffix is unknown, or the file cannot be written.
    """
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    name = Path(path).name.lower()
    if name.endswith((".nii", ".nii.gz")):
        nifti.write(path, array, volume.affine)
    elif name.endswith((".nrrd", ".mha")):
        metaimage.write(path, array, volume.affine)
    else:
        raise InputError(f"{os.fspath(path)}: volumes are written as {', '.join(WRITABLE)}; use one of these suffixes")


def _reader(path: str | os.PathLike[str]) -> Callable[[str | os.PathLike[str]], tuple[np.ndarray, np.ndarray]]:
    """Return the function that reads `path` as an array (…, z, y, x) with its affine in RAS."""
    name = Path(path).name.lower()
    if isinstance(path, dicom.Series) or Path(path).is_dir():
        return dicom.read
    if name.endswith((".nii", ".nii.gz")):
        return nifti.read
    if name.endswith(metaimage.SUFFIXES):
        return metaimage.read
    if dicom.is_dicom(path):
        return dicom.read
    raise VolumeError(path, f"has an unknown format; supported formats are {', '.join(READABLE)}")


def _affine_problem(affine: np.ndarray) -> str | None:
    """Return what is wrong with an affine, or None."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (spacing > 0).all():
        return "has an invalid spacing in its header; repair the header"
    directions = affine[:3, :3] / spacing
    cosines = np.abs(directions.T @ directions - np.eye(3))
    if abs(np.linalg.det(directions)) < 0.5:
        return "has invalid axes in its header; repair the header"
    if cosines.max() > MAX_SHEAR:
        tilt = np.degrees(np.arcsin(min(cosines.max(), 1)))
        return f"has axes that are sheared by {tilt:.1f} degrees; resample it to a grid with right angles"
    return None
