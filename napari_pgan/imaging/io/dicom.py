"""Find DICOM series by their headers, check their geometry and read them as volumes.

Nothing that identifies a patient leaves this module.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.itk import LPS, sitk

MAX_TILT = 0.005  # sine of the angle between slice normal and stacking direction: 0.3 degrees
MAX_UNEVENNESS = 0.05  # relative deviation of one slice distance from the median
_TAGS = (
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "SeriesDescription", "ProtocolName", "Modality",
    "ImageType", "ContrastBolusAgent", "EchoNumbers", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated",
    "PhotometricInterpretation", "BurnedInAnnotation", "InstanceNumber", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_DAMAGED = "has a DICOM file that is truncated or damaged; fetch it again"


@dataclass(frozen=True)
class Series:
    """The files of one DICOM series and the header fields that identify its modality.

    Parameters
    ----------
    files
        In any order.
    description
        Series description and protocol name. May contain names; used to choose a modality and never stored.
    contrast
        Whether the header names a contrast agent.
    derived
        Whether the series was computed from other images.
    patient
        Patient ID, to separate patients whose files share a folder; never stored.
    frames
        Number of images in all files.
    """

    files: tuple[Path, ...]
    description: str = field(default="", repr=False)
    contrast: bool = False
    derived: bool = False
    patient: str = field(default="", repr=False)
    frames: int = 1

    def __fspath__(self) -> str:
        return os.fspath(self.files[0].parent)

    def __str__(self) -> str:
        return f"{len(self.files)} DICOM files in {self.files[0].parent}"


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Return whether a file has the DICOM prefix."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def find_series(paths: Iterable[Path]) -> list[Series]:
    """Group the DICOM images among files into series; ignore all other files.

    Files of one series that differ in orientation, echo or matrix size form separate series.
    """
    groups: dict[tuple[object, ...], list[tuple[Path, Any]]] = {}
    for path in sorted(paths, key=str):
        if (header := _header(path)) is not None:
            groups.setdefault(_series_key(path, header), []).append((path, header))
    return [_series(files) for files in groups.values()]


def read(source: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a series, a folder with one series, or a file: array (z, y, x) after rescaling, and affine in RAS.

    Slices are sorted by position. GDCM decodes the pixels.

    Raises
    ------
    VolumeError
        A file is damaged or truncated; slices are missing, unevenly spaced, tilted, duplicated or without position;
        pixels are in colour or have text burned in.
    """
    if isinstance(source, Series):
        files = source.files
    elif Path(source).is_dir():
        series = find_series(path for path in Path(source).iterdir() if path.is_file())
        if len(series) != 1:
            raise VolumeError(source, f"contains {len(series)} DICOM series; one is expected")
        files = series[0].files
    else:
        files = (Path(source),)
    frames, affine = _stack(source, [frame for path in files for frame in _frames(source, path)])
    pixels = {path: _pixels(source, path) for path in {frame.path for frame in frames}}
    array = np.stack([pixels[frame.path][frame.index] for frame in frames])
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array, LPS @ affine


@dataclass(frozen=True)
class _Frame:
    path: Path
    index: int
    position: np.ndarray  # (3,) mm in LPS
    orientation: np.ndarray  # (2, 3): direction along a row, direction down a column
    spacing: tuple[float, float]  # down a column, along a row
    thickness: float


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress pydicom's warnings, which quote header values and so may quote names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _header(path: Path) -> Any | None:
    """Return the header of an image, or None for any other file."""
    from pydicom import dcmread

    try:
        with _quiet(), open(path, "rb") as file:
            if not is_dicom(path):
                return None
            header = dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
            header.pixels_at = file.tell()
    except Exception:  # pydicom raises many types for a damaged header
        return None
    return header if "Rows" in header and "Columns" in header else None  # a truncated file may have Rows alone


def _series_key(path: Path, header: Any) -> tuple[object, ...]:
    """Return a key that is equal for files of one series."""
    direction = header.get("ImageOrientationPatient")
    with _quiet():
        rounded = None if not direction else tuple(round(float(x), 2) + 0.0 for x in direction)
        echo, frames = str(header.get("EchoNumbers") or ""), str(header.get("NumberOfFrames") or 1)
    multi_frame = path if frames != "1" else None  # a multi-frame file is a volume by itself
    patient, series = str(header.get("PatientID", "")), str(header.get("SeriesInstanceUID", ""))
    return (patient, series, header.Rows, header.Columns, rounded, echo, multi_frame)


def _series(files: list[tuple[Path, Any]]) -> Series:
    header = files[0][1]
    image_type = [str(x).upper() for x in header.get("ImageType") or ()]
    return Series(
        tuple(path for path, _ in files),
        " ".join(str(header.get(tag) or "") for tag in ("SeriesDescription", "ProtocolName")).strip(),
        bool(str(header.get("ContrastBolusAgent") or "").strip()),
        image_type[:1] == ["DERIVED"],
        str(header.get("PatientID") or ""),
        sum(int(h.get("NumberOfFrames") or 1) for _, h in files),
    )


def _frames(source: str | os.PathLike[str], path: Path) -> list[_Frame]:
    """Return the geometry of every frame of a file."""
    if not path.is_file():
        raise FileNotFoundError(path)
    header = _header(path)
    if header is None:
        raise VolumeError(source, _DAMAGED)
    _check_header(source, path, header)
    count = int(header.get("NumberOfFrames") or 1)
    per_frame, shared = header.get("PerFrameFunctionalGroupsSequence"), header.get("SharedFunctionalGroupsSequence")
    if count > 1 and (per_frame is None or len(per_frame) != count):
        raise VolumeError(source, f"contains {count} frames without positions; export it as single slices or NIfTI")
    frames = [header] if per_frame is None else list(per_frame)
    try:
        return [_frame(path, i, [frame, *(shared or [])[:1], header]) for i, frame in enumerate(frames)]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise VolumeError(source, "has slices without position, orientation or spacing in their headers") from error


def _frame(path: Path, index: int, groups: list[Any]) -> _Frame:
    """Read a frame's geometry from the first of `groups` that has it: per frame, shared, file header."""

    def first(sequence: str, tag: str) -> Any:
        holders = ((group, group.get(sequence)) for group in groups)
        values = ((items[0] if items else group).get(tag) for group, items in holders)
        return next((value for value in values if value is not None), None)

    position = np.array([float(x) for x in first("PlanePositionSequence", "ImagePositionPatient")])
    orientation = np.array([float(x) for x in first("PlaneOrientationSequence", "ImageOrientationPatient")])
    down, along = (float(x) for x in first("PixelMeasuresSequence", "PixelSpacing"))
    distance = first("PixelMeasuresSequence", "SpacingBetweenSlices") or first(
        "PixelMeasuresSequence", "SliceThickness"
    )
    return _Frame(path, index, position.reshape(3), orientation.reshape(2, 3), (down, along), float(distance or 1))


def _check_header(source: str | os.PathLike[str], path: Path, header: Any) -> None:
    if str(header.get("BurnedInAnnotation") or "").upper() == "YES":
        raise VolumeError(source, "has text burned into its pixels, which may name the patient; leave it out")
    if int(header.get("SamplesPerPixel") or 1) != 1 or header.get("PhotometricInterpretation") == "MONOCHROME1":
        raise VolumeError(source, "contains colours or inverted grey; MONOCHROME2 is expected")
    if not header.file_meta.TransferSyntaxUID.is_compressed:
        expected = header.Rows * header.Columns * int(header.get("NumberOfFrames") or 1)
        if path.stat().st_size - header.pixels_at < expected * (int(header.get("BitsAllocated") or 16) // 8):
            raise VolumeError(source, _DAMAGED)


def _stack(source: str | os.PathLike[str], frames: list[_Frame]) -> tuple[list[_Frame], np.ndarray]:
    """Sort frames by position and return them with their affine in LPS."""
    first = frames[0]
    normal = np.cross(*first.orientation)
    if not np.isfinite(normal).all() or abs(np.linalg.norm(normal) - 1) > 0.01:
        raise VolumeError(source, "has an invalid slice orientation in its headers")
    for frame in frames:
        if np.abs(frame.orientation - first.orientation).max() > 0.005:
            raise VolumeError(source, "has slices in different directions, as a localizer has; leave it out")
        if not np.allclose(frame.spacing, first.spacing, rtol=1e-3):
            raise VolumeError(source, "has slices of different pixel spacing; resample them first")
    frames = sorted(frames, key=lambda frame: float(frame.position @ normal))
    step = normal * first.thickness
    if len(frames) > 1:
        step = (frames[-1].position - frames[0].position) / (len(frames) - 1)
        _check_distances(source, np.diff([float(frame.position @ normal) for frame in frames]))
        tilt = np.linalg.norm(np.cross(step, normal)) / np.linalg.norm(step)
        if tilt > MAX_TILT:
            degrees = np.degrees(np.arcsin(tilt))
            raise VolumeError(
                source, f"has slices tilted by {degrees:.1f} degrees against the stack; resample it to right angles"
            )
    affine = np.eye(4)
    down, along = first.spacing
    affine[:3, :3] = np.stack([first.orientation[0] * along, first.orientation[1] * down, step], axis=1)
    affine[:3, 3] = frames[0].position
    return frames, affine


def _check_distances(source: str | os.PathLike[str], distances: np.ndarray) -> None:
    median = float(np.median(distances))
    if not np.isfinite(distances).all() or median < 1e-3 or distances.min() < 0.1 * median:
        raise VolumeError(source, "has several images at one position, such as time points or echoes; keep one of them")
    if np.abs(distances - median).max() <= max(MAX_UNEVENNESS * median, 0.01):
        return
    widest = int(distances.argmax())
    missing = round(distances[widest] / median) - 1
    if missing >= 1 and abs(distances[widest] / median - missing - 1) < 0.2:
        number = "one is" if missing == 1 else f"{missing} are"
        where = f"slice {widest + 1} of {len(distances) + 1}"
        raise VolumeError(source, f"has a gap: {number} missing after {where}; fetch it again")
    span = f"{distances.min():.2f} to {distances.max():.2f} mm"
    raise VolumeError(source, f"has slices {span} apart; resample it to an even spacing")


def _pixels(source: str | os.PathLike[str], path: Path) -> np.ndarray:
    """Return the pixels of a file: (frames, y, x)."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        array: np.ndarray[Any, Any] = sitk.GetArrayFromImage(sitk.ReadImage(os.fspath(path), imageIO="GDCMImageIO"))
    except RuntimeError as error:
        raise VolumeError(source, _DAMAGED) from error
    return array if array.ndim == 3 else array[None]
