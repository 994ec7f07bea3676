"""Folders of colour photographs beside folders of their masks, as DRIVE and CHASE_DB1 have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.cohort import (
    COLOURS,
    FIELD_MASK,
    PHOTOGRAPH,
    Cohort,
    CohortContent,
    CohortSubject,
    flag_missing,
)
from napari_pgan.imaging.io.parts import SEGMENTATION

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".ppm")
_IMAGES = re.compile(r"^(images?|imgs?|photos?|photographs?|fundus|originals?|inputs?)$", re.I)
_MARKED = re.compile(r"manual|observer|label|annot|seg|truth|vessel|lesion|target|^gt$", re.I)
_FIELD = re.compile(r"mask|fov|field", re.I)
_EYE = re.compile(r"(?P<person>.*\d.*?)[ _-]?(?P<eye>[lr]|left|right|o[ds])", re.I)


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """The cohort of the files (relative to `folder`), or None where no folder is called ``images`` or so.

    What differs between the names in a folder is what a picture is called, and tells which mask is its own. Two eyes
    (``01L``, ``01R``) are pictures of one subject. Where two folders could hold the masks, one called mask or fov is
    taken for the field of view.

    Raises
    ------
    InputError
        Several folders might hold the masks, or the pictures.
    """
    by_folder: dict[PurePath, dict[str, PurePath]] = {}
    for path in sorted(paths, key=str):
        if path.suffix.lower() in SUFFIXES:
            by_folder.setdefault(path.parent, {})[path.stem] = path
    pictures = [where for where in by_folder if _IMAGES.match(where.name)]
    if not pictures:
        return None
    if len(pictures) > 1:
        names = ", ".join(str(where) for where in pictures)
        raise InputError(f"{folder} has several folders of pictures ({names}); name the one above one of them")
    wanted = _called(by_folder[pictures[0]])
    called: dict[PurePath, dict[str, PurePath]] = {}
    for where, files in by_folder.items():
        if where != pictures[0] and where.parent == pictures[0].parent:
            for whole_words in (False, True):
                if set(found := _called(files, whole_words)) & set(wanted):
                    called[where] = found
    others = list(called)
    segmentation, field = _roles(folder, others)
    subjects: dict[str, list[str]] = {}
    for name in wanted:
        eye = _EYE.fullmatch(name)
        subjects.setdefault(eye["person"] if eye else name, []).append(name)
    places = {PHOTOGRAPH: wanted}
    for part, role in ((SEGMENTATION, segmentation), (FIELD_MASK, field)):
        if role is not None:
            places[part] = called[role]
    there = [
        CohortSubject(
            person,
            {
                part: tuple(folder / str(files[name]) for name in sorted(names))
                for part, files in places.items()
                if all(name in files for name in names)
            },
        )
        for person, names in subjects.items()
    ]
    content = CohortContent(COLOURS, () if segmentation is None else None, PHOTOGRAPH, photographs=True)
    parts = content.parts if field is None else (*content.parts, FIELD_MASK)
    return Cohort("photographs", flag_missing(there, parts), content)


def _roles(folder: Path, others: Sequence[PurePath]) -> tuple[PurePath | None, PurePath | None]:
    """Which of the folders beside the pictures hold the segmentation and the field of view."""
    if len(others) == 1:
        return others[0], None
    marked = [where for where in others if _MARKED.search(where.name)]
    fields = [where for where in others if where not in marked and _FIELD.search(where.name)]
    if len(marked) > 1 or len(fields) > 1 or len(marked) + len(fields) < len(others):
        names = ", ".join(where.name for where in others)
        raise InputError(
            f"{folder} has several folders beside its pictures ({names}); say in a plan file which is which"
        )
    return (marked[0] if marked else None), (fields[0] if fields else None)


def _called(files: dict[str, PurePath], whole_words: bool = True) -> dict[str, PurePath]:
    """What each file is called without what all names in the folder share before and after it; numbers stay whole."""
    stems = list(files)
    if len(stems) < 2:
        return dict(files)
    before = re.sub(r"\d+$", "", _shared(stems))
    after = re.sub(r"^\d+", "", _shared([stem[::-1] for stem in stems])[::-1])
    if whole_words and not re.match(r"[ _.-]", after):  # a letter that all share may be part of what it is called
        after = re.search(r"[ _.-].*$|$", after)[0]  # type: ignore[index]
    return {stem[len(before) : len(stem) - len(after)]: path for stem, path in files.items()}


def _shared(words: Sequence[str]) -> str:
    """What all words begin with."""
    first, last = min(words), max(words)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:same]
