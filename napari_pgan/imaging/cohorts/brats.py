"""Cohorts in the layouts of BraTS 2012 to 2023."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath

from napari_pgan.imaging.cohorts.brats_names import FileName, parse_name, subject_folders, subject_name
from napari_pgan.imaging.cohorts.cohort import Cohort, CohortContent, CohortSubject, flag_missing, group_by_subject
from napari_pgan.imaging.io.modality_names import MODALITIES, SEGMENTATION

CONTENT = CohortContent(MODALITIES, None, MODALITIES[0], brats=True)
_TIME_POINT = re.compile(r"(?P<person>BraTS-[A-Za-z]+-\d+)-\d{3}", re.IGNORECASE)  # BraTS-GLI-00000-001 (2023)
_Groups = dict[tuple[tuple[str, ...], str], list[tuple[FileName, PurePath]]]


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """Find the cohort among files (relative to `folder`); None if no file is named as in BraTS."""
    subjects = group_files(paths)
    if not any(set(subject.files) - {SEGMENTATION} for subject in subjects):
        return None
    subjects = [replace(s, files={part: folder / str(file) for part, file in s.files.items()}) for s in subjects]
    return Cohort("BraTS", tuple(subjects), CONTENT)


def group_files(paths: Iterable[PurePath]) -> list[CohortSubject]:
    """Group relative file paths into subjects, without opening files.

    Files in one folder with the same subject name belong together. A single segmentation with another name beside the
    modalities of one subject belongs to that subject (occurs in BraTS 2020). Ambiguous names, missing and duplicate
    files become the subject's problem. Time points of 2023 are subjects of one person.
    """
    groups: _Groups = {}
    for path in sorted(paths, key=str):
        if parsed := parse_name(path.name):
            folders = path.parent.parts
            if parsed.subject is None:
                folders = subject_folders(folders)
            groups.setdefault((folders, parsed.subject or subject_name(folders)), []).append((parsed, path))
    _join_lone_segmentations(groups)
    subjects = flag_missing(
        (_subject(name or "the folder", files) for (_, name), files in groups.items()), CONTENT.parts
    )
    counts = Counter(subject.name for subject in subjects)
    ambiguous = "its name occurs in several folders; rename all but one"
    return [replace(s, problem=ambiguous) if counts[s.name] > 1 and s.problem is None else s for s in subjects]


def _join_lone_segmentations(groups: _Groups) -> None:
    for folders, name in list(groups):
        files = groups[folders, name]
        others = [key for key in groups if key[0] == folders and key[1] != name]
        lone = len(files) == 1 and files[0][0].part == SEGMENTATION
        if lone and len(others) == 1 and all(parsed.part != SEGMENTATION for parsed, _ in groups[others[0]]):
            groups[others[0]] += groups.pop((folders, name))


def _subject(name: str, files: list[tuple[FileName, PurePath]]) -> CohortSubject:
    person = _TIME_POINT.fullmatch(name)
    parts = ((name, person and person["person"], parsed.part, Path(path)) for parsed, path in files)
    return replace(group_by_subject(parts)[0], style=files[0][0].style)
