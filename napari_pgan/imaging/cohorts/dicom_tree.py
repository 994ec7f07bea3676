"""Folders of DICOM files: one folder a subject, series told apart by their descriptions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath

from napari_pgan.imaging.cohorts.cohort import Cohort, Source, flag_missing, group_by_subject, infer_content
from napari_pgan.imaging.io.dicom import Series, find_series
from napari_pgan.imaging.io.parts import SEGMENTATION

_KNOWN = re.compile(
    r"\.(nii(\.gz)?|mh[ad]|n(rrd|hdr)|json|txt|csv|xml|html?|pdf|png|jpe?g|gif|tiff?|bvec|bval|py|md)$", re.I
)
_MASK = re.compile(r"(^|[^a-z])(seg(mentation|m)?|mask|labels?|lesions?|truth|roi)([^a-z]|$)", re.I)
_MASK_FILE = re.compile(r"\.(nii(\.gz)?|mha|nrrd)$", re.I)
_NO_ANATOMY = re.compile(
    r"locali[sz]er|scout|survey|\bloc\b|dwi|diff|adc|trace|dti|\bfa\b|perf|dsc|dce|asl|bold|fmri|swi|t2\W?\*|t2star|"
    r"angio|\btof\b|mra\b|mip\b|phase|field.?map|spectro|svs|csi|calib|screen|report",
    re.I,
)
_FLAIR = re.compile(r"flair|tirm|dark.?fluid", re.I)
_T1 = re.compile(r"t1|mprage|mp.?rage|spgr|bravo|tfl3d|vibe", re.I)
_T2 = re.compile(r"t2", re.I)
_PD = re.compile(r"\bpd\b|proton", re.I)
_CONTRAST = re.compile(
    r"post|gado?(linium|vist)?\b|(^|[^a-z])gd([^a-z]|$)|\bce\b|t1.?ce\b|contrast|\+ ?c\b|\bkm\b|\bc\+|enhanced", re.I
)
_BEFORE = re.compile(r"pre\b|unenhanced|pre.?(contrast|gad|gd|km)|without|non.?contrast|nativ|w/?o\b", re.I)
MIN_SLICES = 3
_Found = tuple[str, None, str, Source]


def modality_of(description: str, contrast: bool = False) -> str | None:
    """The modality that a description of a series names, or None; a pure function.

    ``T1 FLAIR`` is a T1, any other FLAIR a flair. A T1 is the one after contrast agent when its description says so;
    where it says nothing, the header's note of contrast agent decides.
    """
    words = description.replace("_", " ")
    if _NO_ANATOMY.search(words):
        return None
    if _T1.search(words):
        after = bool(_CONTRAST.search(words)) or contrast
        return "t1ce" if after and not _BEFORE.search(words) else "t1"
    if _FLAIR.search(words):
        return "flair"
    if _T2.search(words):
        return "t2"
    return "pd" if _PD.search(words) else None


def names_segmentation(name: str) -> bool:
    """Whether a name has a word in it for a label map, such as ``seg``, ``mask`` or ``lesion``."""
    return bool(_MASK.search(name))


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """The cohort of the files (relative to `folder`), or None where none of them is DICOM.

    A subject is a folder directly below; files that lie in no folder are told apart by the header's patient number.
    A label map in NIfTI, NRRD or MetaImage in the subject's folder is its segmentation when its name says so.
    """
    every = sorted(paths, key=str)
    subjects = group_by_subject(_files(folder, every, lambda series: modality_of(series.description, series.contrast)))
    if not any(set(subject.files) - {SEGMENTATION} for subject in subjects):
        return None
    content = infer_content(subjects)
    return Cohort("DICOM", flag_missing(subjects, content.parts), content)


def match_series(series: Series, patterns: Mapping[str, str]) -> str | None:
    """The first modality whose pattern (``*``, ``?``; capital or not) fits the description of a series."""
    for modality, pattern in patterns.items():
        if fnmatch.fnmatchcase(series.description.lower(), pattern.lower()):
            return modality
    return None


def series_files(folder: Path, paths: Iterable[PurePath], patterns: Mapping[str, str]) -> Iterator[_Found]:
    """(name, None, modality, series) of those series that a pattern of a plan fits."""
    return _files(folder, sorted(paths, key=str), lambda series: match_series(series, patterns), masks=False)


def _files(
    folder: Path, paths: list[PurePath], modality: Callable[[Series], str | None], masks: bool = True
) -> Iterator[_Found]:
    by_folder: dict[str, list[PurePath]] = {}
    for path in paths:
        by_folder.setdefault(path.parts[0] if len(path.parts) > 1 else "", []).append(path)
    for name, inside in by_folder.items():
        series = find_series(folder / str(path) for path in inside if not _KNOWN.search(path.name))
        numbers = sorted({one.patient for one in series})
        for one in series:
            part = None if one.derived or one.frames < MIN_SLICES else modality(one)
            if part is not None:
                yield name or f"patient {numbers.index(one.patient) + 1} of the folder", None, part, one
        if masks and name and series:
            for path in inside:
                if _MASK_FILE.search(path.name) and names_segmentation(path.name):
                    yield name, None, SEGMENTATION, folder / str(path)
