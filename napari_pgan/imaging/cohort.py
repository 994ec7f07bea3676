"""Finding the subjects of a cohort on disk, in the layouts of BraTS 2012 to 2023."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from napari_pgan.errors import InputError
from napari_pgan.imaging.names import (
    MODALITIES,
    SEGMENTATION,
    FileName,
    name_of_folders,
    parse_name,
    subject_of_folders,
)


@dataclass(frozen=True)
class FoundSubject:
    """The files of one subject.

    Parameters
    ----------
    name
        As the folders or files have it; may tell who it is, so it goes to the terminal and nowhere else.
    files
        Modality or ``"seg"`` → file.
    style
        Of the file names (see `FileName`).
    problem
        Why it cannot be used, or None.
    """

    name: str
    files: dict[str, Path]
    style: str
    problem: str | None = None


def find_subjects(source: str | os.PathLike[str]) -> list[FoundSubject]:
    """All subjects below a folder, sorted by name, those that cannot be used included.

    Raises
    ------
    InputError
        There is no such folder, or nothing in it is named as BraTS does.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{source} is no folder; name the folder that holds the subjects")
    found = group_files(path.relative_to(folder) for path in _walk(folder))
    if not found:
        raise InputError(
            f"no subject found in {source}; files are expected as BraTS names them: "
            "NAME/NAME_t1.nii.gz, NAME_t1ce, NAME_t2, NAME_flair, NAME_seg"
        )
    return [
        FoundSubject(s.name, {part: folder / path for part, path in s.files.items()}, s.style, s.problem) for s in found
    ]


def group_files(paths: Iterable[PurePath]) -> list[FoundSubject]:
    """Subjects from relative file paths alone; a pure function.

    Files belong together when they lie in one folder and name the same subject. A lone segmentation with another name
    beside the modalities of one subject is that subject's (BraTS 2020 has one). Subjects that are found twice, lack a
    file or have one twice carry their problem.
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
    names = [subject.name for subject in subjects]
    for i, subject in enumerate(subjects):
        if names.count(subject.name) > 1 and subject.problem is None:
            problem = "its name stands for several folders; rename all but one"
            subjects[i] = FoundSubject(subject.name, subject.files, subject.style, problem)
    return sorted(subjects, key=lambda subject: subject.name)


def _join_lone_segmentations(groups: dict[tuple[tuple[str, ...], str], list[tuple[FileName, PurePath]]]) -> None:
    for folders, name in list(groups):
        files = groups[folders, name]
        others = [key for key in groups if key[0] == folders and key[1] != name]
        lone = len(files) == 1 and files[0][0].part == SEGMENTATION
        if lone and len(others) == 1 and all(parsed.part != SEGMENTATION for parsed, _ in groups[others[0]]):
            groups[others[0]] += groups.pop((folders, name))


def _subject(name: str, files: list[tuple[FileName, PurePath]]) -> FoundSubject:
    by_part: dict[str, Path] = {}
    twice = []
    for parsed, path in files:
        if parsed.part in by_part:
            twice.append(parsed.part)
        by_part.setdefault(parsed.part, Path(path))
    missing = [part for part in (*MODALITIES, SEGMENTATION) if part not in by_part]
    problem = None
    if twice:
        problem = f"{_listed(twice)} is there twice; remove the one that is not meant"
    elif missing:
        problem = f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    return FoundSubject(name, by_part, files[0][0].style, problem)


def _listed(parts: Iterable[str]) -> str:
    words = ["the segmentation" if part == SEGMENTATION else part for part in dict.fromkeys(parts)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _walk(folder: Path) -> Iterable[Path]:
    """Every file below, through links too, each real folder once."""
    seen = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".zarr"))
        for name in sorted(names):
            yield Path(where, name)
