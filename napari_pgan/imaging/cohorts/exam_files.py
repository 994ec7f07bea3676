"""Find the volumes of one exam on disk and guess their modalities."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.brats_names import parse_name
from napari_pgan.imaging.cohorts.cohort import walk_files
from napari_pgan.imaging.cohorts.dicom_tree import MIN_SLICES, modality_of, names_segmentation
from napari_pgan.imaging.io.dicom import Series, find_series
from napari_pgan.imaging.io.metaimage import SUFFIXES
from napari_pgan.imaging.io.modality_names import BRAIN, SEGMENTATION

_VOLUME = (".nii.gz", ".nii", *SUFFIXES)
_NOT_DICOM = re.compile(r"\.(json|txt|csv|xml|html?|pdf|png|jpe?g|gif|tiff?|bvec|bval|ya?ml|py|md|zip|gz|raw)$", re.I)
_BRAIN_MASK = re.compile(r"brain[^a-z]*mask|mask (of )?(the )?brain|\bbet mask", re.I)
MAX_VOLUMES = 64  # a folder with more is not a single exam


@dataclass(frozen=True)
class ExamVolume:
    """A volume that may be part of an exam.

    Parameters
    ----------
    name
        File name or series description, for display; never stored.
    source
        Input of `read_volume` and `read_segmentation`.
    part
        Guessed modality, or ``"seg"`` or ``"brain"`` for a mask; None if unknown.
    """

    name: str
    source: Path | Series
    part: str | None


def find_exam(path: str | os.PathLike[str]) -> list[ExamVolume]:
    """Find the volumes of an exam: a single file, or all volumes below a folder.

    Raises
    ------
    InputError
        There is no readable volume, or more than one exam.
    """
    root = Path(path)
    if root.is_file():
        return [_from_file(root)]
    if not root.is_dir():
        raise InputError(f"{root} does not exist; choose the folder of an exam, or one of its files")
    files = list(walk_files(root))
    volumes = [_from_file(file) for file in files if file.name.lower().endswith(_VOLUME)]
    series = find_series(f for f in files if not f.name.lower().endswith(_VOLUME) and not _NOT_DICOM.search(f.name))
    volumes += [_from_series(one, i) for i, one in enumerate(series, 1) if one.frames >= MIN_SLICES]
    if not volumes:
        raise InputError(f"{root} contains no volume in NIfTI, NRRD, MetaImage or DICOM; choose the folder of an exam")
    if len(volumes) > MAX_VOLUMES:
        raise InputError(
            f"{root} contains {len(volumes)} volumes, more than one exam; choose the folder of a single exam"
        )
    return volumes


def guess_part(name: str) -> str | None:
    """Guess the modality, ``"seg"`` or ``"brain"`` from the name of a file, layer or series; None if unknown.

    Understands file names of BraTS and BIDS and free text such as ``t1c`` or ``T1 post Gd``.
    """
    stem = re.sub(r"(\.seg)?\.(nii(\.gz)?|mh[ad]|n(rrd|hdr))$", r"\1", name, flags=re.I)
    words = re.sub(r"[^a-z0-9+]+", " ", stem, flags=re.I).split()
    text = " ".join(words)
    if _BRAIN_MASK.search(text):
        return BRAIN
    for word in reversed(words):  # the last word is the most specific: `patient T1 registered_t2`
        if parsed := parse_name(f"_{word}.nii") or parse_name(f"exam_{word}.nii"):
            return "t1ce" if word.lower() == "t1" and modality_of(text) == "t1ce" else parsed.part
    if names_segmentation(stem):
        return SEGMENTATION
    if re.search(r"\bce\b", text) and re.search(r"t1", stem, re.I):
        return "t1ce"
    return modality_of(text)


def unique_parts(parts: Iterable[str | None]) -> list[str | None]:
    """Replace every repeated part by None."""
    seen: set[str | None] = set()
    unique: list[str | None] = []
    for part in parts:
        unique.append(None if part in seen else part)
        seen.add(part)
    return unique


def _from_file(file: Path) -> ExamVolume:
    return ExamVolume(file.name, file, guess_part(file.name))


def _from_series(series: Series, number: int) -> ExamVolume:
    part = None if series.derived else modality_of(series.description, series.contrast)
    return ExamVolume(series.description or f"series {number}", series, part)
