"""What the names of BraTS files say, 2012 to 2023. Pure functions of text; nothing is opened here."""

from __future__ import annotations

import re
from dataclasses import dataclass

MODALITIES = ("t1", "t1ce", "t2", "flair")
SEGMENTATION = "seg"
BRAIN = "brain"  # a mask of the brain, which nobody needs to have
ATLAS = "atlas"  # how the registration to one is called beside those of modalities

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
    """What a file name says.

    Parameters
    ----------
    part
        One of `MODALITIES`, or `SEGMENTATION`.
    subject
        The subject's name where the file name holds it; None where the folders do (2013 to 2015).
    style
        ``"hyphen"`` (2023), ``"underscore"`` or ``"vsd"``.
    """

    part: str
    subject: str | None
    style: str


def parse_name(name: str) -> FileName | None:
    """What the name of a file says, or None when it is no file of a BraTS cohort."""
    suffix = _SUFFIX.search(name)
    if suffix is None or name.startswith("."):
        return None
    stem = name[: suffix.start()]
    if found := _VSD.fullmatch(stem):
        return FileName(_PARTS[found["part"].lower()] if found["part"] else SEGMENTATION, None, "vsd")
    for pattern, style in ((_HYPHEN, "hyphen"), (_UNDERSCORE, "underscore")):
        if found := pattern.fullmatch(stem):
            return FileName(_PARTS[found["part"].lower()], found["subject"], style)
    return None


def subject_of_folders(folders: tuple[str, ...]) -> tuple[str, ...]:
    """The folders that belong to the subject: without those of single volumes (``VSD.Brain…``) at the end."""
    end = len(folders)
    while end and folders[end - 1].upper().startswith("VSD."):
        end -= 1
    return folders[:end]


def name_of_folders(folders: tuple[str, ...]) -> str:
    """The subject's name from its folders: the last, with the one above when it is a mere number (``HG/0001``)."""
    if not folders:
        return ""
    last = folders[-1]
    if last.isdigit() and len(folders) > 1:
        return f"{folders[-2]}/{last}"
    return last
