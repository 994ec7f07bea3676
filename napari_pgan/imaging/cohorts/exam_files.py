"""The volumes of one exam on disk, and which modality each seems to be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.cohort import walk_files
from napari_pgan.imaging.cohorts.dicom_tree import MIN_SLICES, modality_of, names_segmentation
from napari_pgan.imaging.io.dicom import Series, find_series
from napari_pgan.imaging.io.metaimage import SUFFIXES
from napari_pgan.imaging.io.parts import BRAIN, SEGMENTATION, parse_name

_VOLUME = (".nii.gz", ".nii", *SUFFIXES)
_NOT_DICOM = re.compile(r"\.(json|txt|csv|xml|html?|pdf|png|jpe?g|gif|tiff?|bvec|bval|ya?ml|py|md|zip|gz|raw)$", re.I)
_BRAIN_MASK = re.compile(r"brain[^a-z]*mask|mask (of )?(the )?brain|\bbet mask", re.I)
MOST = 64  # volumes; a folder with more is no exam


@dataclass(frozen=True)
class ExamVolume:
    """A volume that may be part of an exam.

    Parameters
    ----------
    name
        For whoever looks at the exam: the file's name, or what the scanner called the series. It goes nowhere else.
    source
        What `read_volume` and `read_segmentation` take.
    part
        Which modality it seems to be, or ``"seg"`` or ``"brain"``, a mask; None where nothing tells.
    """

    name: str
    source: Path | Series
    part: str | None


def find_exam(path: str | os.PathLike[str]) -> list[ExamVolume]:
    """The volumes of an exam: those of a folder and all below it, or a single file.

    Raises
    ------
    InputError
        Nothing is there that can be read as a volume, or far more than one exam.
    """
    place = Path(path)
    if place.is_file():
        return [_of_file(place)]
    if not place.is_dir():
        raise InputError(f"{place} does not exist; choose the folder of an exam, or one of its files")
    files = list(walk_files(place))
    volumes = [_of_file(file) for file in files if file.name.lower().endswith(_VOLUME)]
    series = find_series(f for f in files if not f.name.lower().endswith(_VOLUME) and not _NOT_DICOM.search(f.name))
    volumes += [_of_series(one, i) for i, one in enumerate(series, 1) if one.frames >= MIN_SLICES]
    if not volumes:
        raise InputError(f"{place} holds no volume in NIfTI, NRRD, MetaImage or DICOM; choose the folder of an exam")
    if len(volumes) > MOST:
        raise InputError(f"{place} holds {len(volumes)} volumes, more than one exam; choose the folder of a single one")
    return volumes


def guess_part(name: str) -> str | None:
    """Which modality a name speaks of, ``"seg"`` or ``"brain"``; None where it says nothing. A pure function of text.

    Takes the names of files in BraTS and BIDS, and what people call layers and series: ``t1c``, ``T1 post Gd``.
    """
    stem = re.sub(r"(\.seg)?\.(nii(\.gz)?|mh[ad]|n(rrd|hdr))$", r"\1", name, flags=re.I)
    words = re.sub(r"[^a-z0-9+]+", " ", stem, flags=re.I).split()
    if _BRAIN_MASK.search(" ".join(words)):
        return BRAIN
    for word in reversed(words):  # the last word tells most: `patient T1 registered_t2`
        if parsed := parse_name(f"_{word}.nii") or parse_name(f"exam_{word}.nii"):
            if word.lower() == "t1" and modality_of(" ".join(words)) == "t1ce":
                return "t1ce"
            return parsed.part
    if names_segmentation(stem):
        return SEGMENTATION
    if re.search(r"\bce\b", " ".join(words)) and re.search(r"t1", stem, re.I):
        return "t1ce"
    return modality_of(" ".join(words))


def unique_parts(parts: Iterable[str | None]) -> list[str | None]:
    """The same parts, of which each is there once: what speaks of a modality that is taken already says nothing."""
    seen: set[str] = set()
    unique: list[str | None] = []
    for part in parts:
        unique.append(None if part is None or part in seen else part)
        seen |= {part} if part is not None else set()
    return unique


def _of_file(file: Path) -> ExamVolume:
    return ExamVolume(file.name, file, guess_part(file.name))


def _of_series(series: Series, number: int) -> ExamVolume:
    part = None if series.derived else modality_of(series.description, series.contrast)
    return ExamVolume(series.description or f"series {number}", series, part)
