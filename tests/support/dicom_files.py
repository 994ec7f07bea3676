"""Write DICOM files as scanners do, with a name, a date and a patient ID in every header."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

PATIENT, DATE, NUMBER = "Doe^Jane", "19610412", "MRN-4711-X"
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(
    folder: Path,
    array: np.ndarray,
    affine: np.ndarray,
    description: str = "T1 AX",
    change: Callable[[int, Dataset], bool | None] = lambda index, header: None,
    slope: float = 1.0,
    intercept: float = 0.0,
    **header: object,
) -> list[Path]:
    """Write a uint16 array (z, y, x) with an affine in RAS, one file per slice, with unordered names.

    `change` may alter a slice's header, or omit the slice by returning False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, study = generate_uid(), generate_uid()
    paths = []
    for z, plane in enumerate(array):
        dataset = _dataset(MRImageStorage, affine, plane.shape, series, study, description, **header)
        dataset.ImagePositionPatient = _decimal((_LPS @ affine @ [0, 0, z, 1])[:3])
        dataset.ImageOrientationPatient = _decimal(_orientation(affine))
        dataset.PixelSpacing = _decimal(np.linalg.norm(affine[:3, [1, 0]], axis=0))
        dataset.SliceThickness = str(float(np.linalg.norm(affine[:3, 2])))[:16]
        dataset.InstanceNumber = z + 1
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slope), str(intercept)
        dataset.PixelData = np.ascontiguousarray(plane, "<u2").tobytes()
        if change(z, dataset) is not False:
            path = folder / f"IM{(z * 7919) % 1000:03d}"
            dataset.save_as(path, enforce_file_format=True)
            paths.append(path)
    return paths


def write_multiframe(path: Path, array: np.ndarray, affine: np.ndarray, order: list[int]) -> None:
    """Write one enhanced MR file with its frames in the given order."""
    dataset = _dataset(EnhancedMRImageStorage, affine, array.shape[1:], generate_uid(), generate_uid(), "T1 AX")
    dataset.NumberOfFrames = len(order)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = _decimal(np.linalg.norm(affine[:3, [1, 0]], axis=0))
    measures.SliceThickness = str(float(np.linalg.norm(affine[:3, 2])))[:16]
    plane.ImageOrientationPatient = _decimal(_orientation(affine))
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for z in order:
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = _decimal((_LPS @ affine @ [0, 0, z, 1])[:3])
        frame.PlanePositionSequence = [position]
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.PixelData = np.ascontiguousarray(array[order], "<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def _dataset(
    kind: str, affine: np.ndarray, shape: tuple[int, ...], series: str, study: str, description: str, **header: object
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = PATIENT, NUMBER, DATE
    dataset.StudyDate, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "20240229", study, series
    dataset.Modality, dataset.SeriesDescription = "MR", description
    dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    for tag, value in header.items():
        setattr(dataset, tag, value)
    return dataset


def _orientation(affine: np.ndarray) -> np.ndarray:
    columns = (_LPS @ affine)[:3, :2]
    return (columns / np.linalg.norm(columns, axis=0)).T.ravel()


def _decimal(values: np.ndarray) -> list[str]:
    """Format as decimal strings, which have at most 16 characters."""
    return [f"{value:.9f}"[:16] for value in values]
