"""Parse the file and folder names of BraTS 2012 to 2023, without opening anything."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_pgan.imaging.io.modality_names import SEGMENTATION

_SUFFIX = re.compile(r"\.(nii\.gz|nii|mha)$", re.IGNORECASE)

# BraTS-GLI-00000-000-t1n.nii.gz (2023)
_HYPHEN = re.compile(r"(?P<subject>.+)-(?P<part>t1n|t1c|t2w|t2f|seg)", re.IGNORECASE)
# Brats18_TCIA10_637_1_t1ce.nii.gz, BraTS2021_00000_t1ce.nii.gz, BRATS_HG0001_T1C.mha; W39_1998.09.19_Segm.nii (2020)
_UNDERSCORE = re.compile(r"(?P<subject>.+)_(?P<part>t1|t1ce|t1c|t1gd|t2|flair|segm?|truth)", re.IGNORECASE)
# VSD.Brain.XX.O.MR_T1c.54193.mha, VSD.Brain_3more.XX.O.OT.54517.mha (2013 to 2015)
_VSD = re.compile(r"VSD\.Brain[^.]*\.[^.]+\.[^.]+\.(MR_(?P<part>T1c?|T2|Flair)|OT)(\.\d+)?", re.IGNORECASE)

_PARTS = {
    "t1": "t1", "t1n": "t1",
    "t1ce": "t1ce", "t1c": "t1ce", "t1gd": "t1ce",
    "t2": "t2", "t2w": "t2",
    "flair": "flair", "t2f": "flair",
    "seg": SEGMENTATION, "segm": SEGMENTATION, "truth": SEGMENTATION,
}  # fmt: skip


@dataclass(frozen=True)
class FileName:
    """A parsed file name."""

    part: str  # one of `MODALITIES`, or `SEGMENTATION`
    subject: str | None  # None if the folders hold the name (2013 to 2015)
    style: str  # "hyphen" (2023), "underscore" or "vsd"


def parse_name(name: str) -> FileName | None:
    """Parse a file name; None if it does not belong to a BraTS cohort."""
    suffix = _SUFFIX.search(name)
    if suffix is None or name.startswith("."):
        return None
    stem = name[: suffix.start()]
    if match := _VSD.fullmatch(stem):
        return FileName(_PARTS[match["part"].lower()] if match["part"] else SEGMENTATION, None, "vsd")
    for pattern, style in ((_HYPHEN, "hyphen"), (_UNDERSCORE, "underscore")):
        if match := pattern.fullmatch(stem):
            return FileName(_PARTS[match["part"].lower()], match["subject"], style)
    return None


def subject_folders(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the trailing folders of single volumes (``VSD.Brain…``)."""
    while folders and folders[-1].upper().startswith("VSD."):
        folders = folders[:-1]
    return folders


def subject_name(folders: tuple[str, ...]) -> str:
    """Return the last folder, prefixed by its parent if it is a mere number (``HG/0001``)."""
    return "/".join(folders[-2:] if folders and folders[-1].isdigit() else folders[-1:])
