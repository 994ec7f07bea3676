"""DICOM: series found by their headers, checked, read as volumes. Nothing that names a patient leaves here."""

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

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_TILT = 0.005  # sine of the angle between the slices' normal and the way they are stacked: 0.3 degrees
_UNEVEN = 0.05  # share of the slices' distance by which one may differ
_TAGS = (
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "SeriesDescription", "ProtocolName", "Modality",
    "ImageType", "ContrastBolusAgent", "EchoNumbers", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated",
    "PhotometricInterpretation", "BurnedInAnnotation", "InstanceNumber", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """The files of one series, and what tells which modality it is.

    Parameters
    ----------
    files
        In no particular order; places are read from their headers.
    description
        What the scanner or its user called it. Names have been found in there: it chooses a modality and goes nowhere.
    contrast
        Whether the header says that contrast agent was given.
    derived
        Whether it was computed from other images.
    patient
        The header's number of the patient, to keep those apart whose files lie in one folder; goes nowhere.
    frames
        Pictures in all files together.
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
    """Whether a file says at its 128th byte that it is DICOM."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def find_series(paths: Iterable[Path]) -> list[Series]:
    """The image series among files, whatever the files are called; others are passed over.

    Files of one series that show another direction or echo, or are of another size, are a series of their own.
    """
    groups: dict[tuple[object, ...], list[tuple[Path, Any]]] = {}
    for path in sorted(paths, key=str):
        if (header := _header(path)) is not None and _is_image(header):
            groups.setdefault(_belongs_to(path, header), []).append((path, header))
    return [_series(files) for files in groups.values()]


def read(source: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """The array (z, y, x) of a series, a folder with one, or a file, with its rescaling, and its affine in RAS.

    Slices are put in order by where they lie. Pixels are decoded by GDCM.

    Raises
    ------
    VolumeError
        A file is damaged or truncated; a slice is missing; slices are unevenly spaced, tilted, at one place twice, or
        have no place; pixels are colours, or have names burned in.
    """
    if isinstance(source, Series):
        files = source.files
    elif Path(source).is_dir():
        found = find_series(path for path in Path(source).iterdir() if path.is_file())
        if len(found) != 1:
            raise VolumeError(source, f"holds {len(found)} DICOM series; one is expected")
        files = found[0].files
    else:
        files = (Path(source),)
    frames = [frame for path in files for frame in _frames(source, path)]
    stack = _stacked(source, frames)
    planes = {path: _pixels(source, path) for path in {frame.path for frame in stack.frames}}
    array = np.stack([planes[frame.path][frame.index] for frame in stack.frames])
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    return array, _LPS @ stack.affine


@dataclass(frozen=True)
class _Frame:
    path: Path
    index: int
    position: np.ndarray  # (3,) millimetres in LPS
    orientation: np.ndarray  # (2, 3): along a row, down a column
    spacing: tuple[float, float]  # down a column, along a row
    thickness: float


@dataclass(frozen=True)
class _Stack:
    frames: list[_Frame]
    affine: np.ndarray


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom warns with the values that it finds strange, which may be names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _header(path: Path, tags: tuple[str, ...] = _TAGS) -> Any | None:
    """What stands before the pixels, or None where that is no DICOM."""
    from pydicom import dcmread

    try:
        with _quiet(), open(path, "rb") as file:
            if file.read(132)[128:] != b"DICM":
                return None
            file.seek(0)
            header = dcmread(file, stop_before_pixels=True, specific_tags=list(tags))
            header.pixels_at = file.tell()
    except Exception:  # pydicom raises what it likes on a damaged header; who reads the pixels says so
        return None
    return header


def _is_image(header: Any) -> bool:
    return "Rows" in header and "Columns" in header  # a file cut off between the two has the first alone


def _belongs_to(path: Path, header: Any) -> tuple[object, ...]:
    direction = header.get("ImageOrientationPatient")
    with _quiet():
        rounded = None if not direction else tuple(round(float(x), 2) + 0.0 for x in direction)
        echo, frames = str(header.get("EchoNumbers") or ""), str(header.get("NumberOfFrames") or 1)
    alone = path if frames != "1" else None  # several frames: a volume by itself
    patient, series = str(header.get("PatientID", "")), str(header.get("SeriesInstanceUID", ""))
    return (patient, series, header.Rows, header.Columns, rounded, echo, alone)


def _series(files: list[tuple[Path, Any]]) -> Series:
    header = files[0][1]
    kind = [str(x).upper() for x in header.get("ImageType") or ()]
    return Series(
        tuple(path for path, _ in files),
        " ".join(str(header.get(tag) or "") for tag in ("SeriesDescription", "ProtocolName")).strip(),
        bool(str(header.get("ContrastBolusAgent") or "").strip()),
        bool(kind and kind[0] == "DERIVED"),
        str(header.get("PatientID") or ""),
        sum(int(h.get("NumberOfFrames") or 1) for _, h in files),
    )


def _frames(source: str | os.PathLike[str], path: Path) -> list[_Frame]:
    """Every picture of a file with its place."""
    if not path.is_file():
        raise FileNotFoundError(path)
    header = _header(path)
    if header is None or not _is_image(header):
        raise VolumeError(source, "has a DICOM file that is truncated or damaged; fetch it again")
    _refuse_unusable(source, path, header)
    count = int(header.get("NumberOfFrames") or 1)
    per_frame, shared = header.get("PerFrameFunctionalGroupsSequence"), header.get("SharedFunctionalGroupsSequence")
    if count > 1 and (per_frame is None or len(per_frame) != count):
        raise VolumeError(source, f"holds {count} frames without their places; export it as single slices or NIfTI")
    places: list[Any] = [header] if per_frame is None else list(per_frame)
    common = [shared[0]] if shared else []
    try:
        return [_place(path, index, [place, *common, header]) for index, place in enumerate(places)]
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise VolumeError(source, "has slices without place, direction or spacing in their headers") from error


def _place(path: Path, index: int, groups: list[Any]) -> _Frame:
    """From the first of the groups that says it: the frame's own, the shared one, the file's header."""

    def said(sequence: str, tag: str) -> Any:
        for group in groups:
            holder = group.get(sequence)
            value = (holder[0] if holder else group).get(tag)
            if value is not None:
                return value
        return None

    position = np.array([float(x) for x in said("PlanePositionSequence", "ImagePositionPatient")])
    orientation = np.array([float(x) for x in said("PlaneOrientationSequence", "ImageOrientationPatient")])
    down, along = (float(x) for x in said("PixelMeasuresSequence", "PixelSpacing"))
    apart = said("PixelMeasuresSequence", "SpacingBetweenSlices") or said("PixelMeasuresSequence", "SliceThickness")
    return _Frame(path, index, position.reshape(3), orientation.reshape(2, 3), (down, along), float(apart or 1))


def _refuse_unusable(source: str | os.PathLike[str], path: Path, header: Any) -> None:
    if str(header.get("BurnedInAnnotation") or "").upper() == "YES":
        raise VolumeError(source, "says that text is burned into its pixels, which may name the patient; leave it out")
    if int(header.get("SamplesPerPixel") or 1) != 1 or header.get("PhotometricInterpretation") == "MONOCHROME1":
        raise VolumeError(source, "holds colours or inverted grey; MONOCHROME2 is expected")
    if not header.file_meta.TransferSyntaxUID.is_compressed:
        expected = header.Rows * header.Columns * int(header.get("NumberOfFrames") or 1)
        expected *= int(header.get("BitsAllocated") or 16) // 8
        if path.stat().st_size - header.pixels_at < expected:
            raise VolumeError(source, "has a DICOM file that is truncated or damaged; fetch it again")


def _stacked(source: str | os.PathLike[str], frames: list[_Frame]) -> _Stack:
    """The frames in the order of their places, and the affine in LPS."""
    first = frames[0]
    normal = np.cross(*first.orientation)
    if not np.isfinite(normal).all() or abs(np.linalg.norm(normal) - 1) > 0.01:
        raise VolumeError(source, "has no sound direction of its slices in its headers")
    for frame in frames:
        if np.abs(frame.orientation - first.orientation).max() > 0.005:
            raise VolumeError(source, "has slices in different directions, as a localizer has; leave it out")
        if not np.allclose(frame.spacing, first.spacing, rtol=1e-3):
            raise VolumeError(source, "has slices of different spacing; resample them first")
    frames = sorted(frames, key=lambda frame: float(frame.position @ normal))
    step = normal * first.thickness
    if len(frames) > 1:
        step = (frames[-1].position - frames[0].position) / (len(frames) - 1)
        _refuse_gaps(source, np.diff([float(frame.position @ normal) for frame in frames]))
        sideways = np.linalg.norm(np.cross(step, normal)) / np.linalg.norm(step)
        if sideways > _TILT:
            raise VolumeError(
                source,
                f"has slices tilted by {np.degrees(np.arcsin(sideways)):.1f} degrees against the way they are stacked; "
                "resample it to right angles",
            )
    affine = np.eye(4)
    down, along = first.spacing
    affine[:3, :3] = np.stack([first.orientation[0] * along, first.orientation[1] * down, step], axis=1)
    affine[:3, 3] = frames[0].position
    return _Stack(frames, affine)


def _refuse_gaps(source: str | os.PathLike[str], gaps: np.ndarray) -> None:
    usual = float(np.median(gaps))
    if not np.isfinite(gaps).all() or usual < 1e-3 or gaps.min() < 0.1 * usual:
        raise VolumeError(source, "has several images at one place, as of several times or echoes; keep one of them")
    if np.abs(gaps - usual).max() <= max(_UNEVEN * usual, 0.01):
        return
    widest = int(gaps.argmax())
    missing = round(gaps[widest] / usual) - 1
    if missing >= 1 and abs(gaps[widest] / usual - missing - 1) < 0.2:
        number = "one is" if missing == 1 else f"{missing} are"
        raise VolumeError(
            source, f"has a gap: {number} missing after slice {widest + 1} of {len(gaps) + 1}; fetch again"
        )
    raise VolumeError(
        source, f"has slices from {gaps.min():.2f} to {gaps.max():.2f} mm apart; resample it to an even spacing"
    )


def _pixels(source: str | os.PathLike[str], path: Path) -> np.ndarray:
    """(frames, y, x)."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        array: np.ndarray[Any, Any] = sitk.GetArrayFromImage(sitk.ReadImage(os.fspath(path), imageIO="GDCMImageIO"))
    except RuntimeError as error:
        raise VolumeError(source, "has a DICOM file that is truncated or damaged; fetch it again") from error
    return array if array.ndim == 3 else array[None]
