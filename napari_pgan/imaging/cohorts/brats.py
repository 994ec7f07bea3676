"""Cohorts as BraTS has laid them out from 2012 to 2023."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from napari_pgan.imaging.cohorts.cohort import (
    Cohort,
    CohortContent,
    CohortSubject,
    Source,
    duplicate_problem,
    flag_missing,
)
from napari_pgan.imaging.io.parts import (
    MODALITIES,
    SEGMENTATION,
    FileName,
    name_of_folders,
    parse_name,
    subject_of_folders,
)

CONTENT = CohortContent(MODALITIES, None, MODALITIES[0], brats=True)
_TIME_POINT = re.compile(r"(?P<person>BraTS-[A-Za-z]+-\d+)-\d{3}", re.IGNORECASE)  # BraTS-GLI-00000-001 (2023)


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """The cohort of the files (relative to `folder`), or None where nothing is named as BraTS does."""
    found = group_files(paths)
    if not any(set(subject.files) - {SEGMENTATION} for subject in found):
        return None
    subjects = [
        CohortSubject(s.name, {p: folder / str(f) for p, f in s.files.items()}, s.style, s.problem, s.person)
        for s in found
    ]
    return Cohort("BraTS", tuple(subjects), CONTENT)


def group_files(paths: Iterable[PurePath]) -> list[CohortSubject]:
    """Subjects from relative file paths alone; a pure function.

    Files belong together when they lie in one folder and name the same subject. A lone segmentation with another name
    beside the modalities of one subject is that subject's (BraTS 2020 has one). Subjects that are found twice, lack a
    file or have one twice carry their problem. Time points of 2023 are subjects of one person.
    """
    groups: dict[tuple[tuple[str, ...], str], list[tuple[FileName, PurePath]]] = {}
    for path in sorted(paths, key=str):
        if parsed := parse_name(path.name):
            folders = path.parent.parts
            if parsed.subject is None:
                folders = subject_of_folders(folders)
            groups.setdefault((folders, parsed.subject or name_of_folders(folders)), []).append((parsed, path))
    _join_lone_segmentations(groups)
    subjects = [_subject(name or "the folder", files) for (_, name), files in groups.items()]
    subjects = list(flag_missing(subjects, CONTENT.parts))
    names = [subject.name for subject in subjects]
    for i, subject in enumerate(subjects):
        if names.count(subject.name) > 1 and subject.problem is None:
            problem = "its name stands for several folders; rename all but one"
            subjects[i] = CohortSubject(subject.name, subject.files, subject.style, problem, subject.person)
    return subjects


def _join_lone_segmentations(groups: dict[tuple[tuple[str, ...], str], list[tuple[FileName, PurePath]]]) -> None:
    for folders, name in list(groups):
        files = groups[folders, name]
        others = [key for key in groups if key[0] == folders and key[1] != name]
        lone = len(files) == 1 and files[0][0].part == SEGMENTATION
        if lone and len(others) == 1 and all(parsed.part != SEGMENTATION for parsed, _ in groups[others[0]]):
            groups[others[0]] += groups.pop((folders, name))


def _subject(name: str, files: list[tuple[FileName, PurePath]]) -> CohortSubject:
    by_part: dict[str, Source] = {}
    twice = []
    for parsed, path in files:
        if parsed.part in by_part:
            twice.append(parsed.part)
        by_part.setdefault(parsed.part, Path(path))
    person = _TIME_POINT.fullmatch(name)
    problem = duplicate_problem(twice) if twice else None
    return CohortSubject(name, by_part, files[0][0].style, problem, person["person"] if person else None)
