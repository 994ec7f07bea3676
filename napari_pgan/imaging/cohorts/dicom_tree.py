"""Folders of DICOM files: one folder per subject, modalities identified by series descriptions."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath

from napari_pgan.imaging.cohorts.cohort import Cohort, Source, flag_missing, group_by_subject, infer_content
from napari_pgan.imaging.io.dicom import Series, find_series
from napari_pgan.imaging.io.modality_names import SEGMENTATION

_OTHER_FORMATS = re.compile(
    r"\.(nii(\.gz)?|mh[ad]|n(rrd|hdr)|json|txt|csv|xml|html?|pdf|png|jpe?g|gif|tiff?|bvec|bval|py|md)$", re.I
)
_MASK = re.compile(r"(^|[^a-z])(seg(mentation|m)?|mask|labels?|lesions?|truth|roi)([^a-z]|$)", re.I)
_MASK_FILE = re.compile(r"\.(nii(\.gz)?|mha|nrrd)$", re.I)
_NOT_ANATOMICAL = re.compile(
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
_NO_CONTRAST = re.compile(r"pre\b|unenhanced|pre.?(contrast|gad|gd|km)|without|non.?contrast|nativ|w/?o\b", re.I)
MIN_SLICES = 3
_File = tuple[str, None, str, Source]


def modality_of(description: str, contrast: bool = False) -> str | None:
    """Return the modality that a series description names, or None.

    ``T1 FLAIR`` is a T1; any other FLAIR is a flair. A T1 is contrast-enhanced if the description says so; if it says
    nothing, `contrast` from the header decides.
    """
    words = description.replace("_", " ")
    if _NOT_ANATOMICAL.search(words):
        return None
    if _T1.search(words):
        after = bool(_CONTRAST.search(words)) or contrast
        return "t1ce" if after and not _NO_CONTRAST.search(words) else "t1"
    if _FLAIR.search(words):
        return "flair"
    if _T2.search(words):
        return "t2"
    return "pd" if _PD.search(words) else None


def names_segmentation(name: str) -> bool:
    """Return whether a name contains a word for a label map, such as ``seg``, ``mask`` or ``lesion``."""
    return bool(_MASK.search(name))


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """Find the cohort among files (relative to `folder`); None if none of them is DICOM.

    A subject is a folder directly below `folder`; files outside of subfolders are separated by patient ID. A file in
    NIfTI, NRRD or MetaImage in the subject's folder is its segmentation if its name says so.
    """
    files = _files(folder, paths, lambda series: modality_of(series.description, series.contrast))
    subjects = group_by_subject(files)
    if not any(set(subject.files) - {SEGMENTATION} for subject in subjects):
        return None
    content = infer_content(subjects)
    return Cohort("DICOM", flag_missing(subjects, content.parts), content)


def series_files(folder: Path, paths: Iterable[PurePath], patterns: Mapping[str, str]) -> Iterator[_File]:
    """Yield (name, None, modality, series) of every series whose description matches a pattern of a plan.

    Patterns (``*``, ``?``) ignore case; the first that matches gives the modality.
    """

    def modality(series: Series) -> str | None:
        text = series.description.lower()
        return next((m for m, pattern in patterns.items() if fnmatch.fnmatchcase(text, pattern.lower())), None)

    return _files(folder, paths, modality, masks=False)


def _files(
    folder: Path, paths: Iterable[PurePath], modality: Callable[[Series], str | None], masks: bool = True
) -> Iterator[_File]:
    by_folder: dict[str, list[PurePath]] = {}
    for path in sorted(paths, key=str):
        by_folder.setdefault(path.parts[0] if len(path.parts) > 1 else "", []).append(path)
    for name, inside in by_folder.items():
        all_series = find_series(folder / str(path) for path in inside if not _OTHER_FORMATS.search(path.name))
        patients = sorted({series.patient for series in all_series})
        for series in all_series:
            part = None if series.derived or series.frames < MIN_SLICES else modality(series)
            if part is not None:
                yield name or f"patient {patients.index(series.patient) + 1} of the folder", None, part, series
        if masks and name and all_series:
            for path in inside:
                if _MASK_FILE.search(path.name) and names_segmentation(path.name):
                    yield name, None, SEGMENTATION, folder / str(path)
