"""Folders of colour photographs beside folders of their masks, as in DRIVE and CHASE_DB1."""

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
from napari_pgan.imaging.io.modality_names import SEGMENTATION

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".bmp", ".ppm")
_IMAGES = re.compile(r"^(images?|imgs?|photos?|photographs?|fundus|originals?|inputs?)$", re.I)
_SEGMENTATION = re.compile(r"manual|observer|label|annot|seg|truth|vessel|lesion|target|^gt$", re.I)
_FIELD = re.compile(r"mask|fov|field", re.I)
_EYE = re.compile(r"(?P<person>.*\d.*?)[ _-]?(?P<eye>[lr]|left|right|o[ds])", re.I)


def find(folder: Path, paths: Iterable[PurePath]) -> Cohort | None:
    """Find the cohort among files (relative to `folder`); None if there is no folder like ``images``.

    Photographs and masks are matched by the part of their names that differs within a folder. Two eyes (``01L``,
    ``01R``) are pictures of one subject. If two folders could hold the masks, one called mask or fov holds the fields
    of view.

    Raises
    ------
    InputError
        Several folders might hold the masks or the photographs.
    """
    by_folder: dict[PurePath, dict[str, PurePath]] = {}
    for path in sorted(paths, key=str):
        if path.suffix.lower() in SUFFIXES:
            by_folder.setdefault(path.parent, {})[path.stem] = path
    image_folders = [path for path in by_folder if _IMAGES.match(path.name)]
    if not image_folders:
        return None
    if len(image_folders) > 1:
        names = ", ".join(map(str, image_folders))
        raise InputError(f"{folder} has several folders of pictures ({names}); give the parent folder of one of them")
    images = _by_key(by_folder[image_folders[0]])
    masks: dict[PurePath, dict[str, PurePath]] = {}
    for path, files in by_folder.items():
        if path != image_folders[0] and path.parent == image_folders[0].parent:
            for whole_words in (False, True):
                if set(keyed := _by_key(files, whole_words)) & set(images):
                    masks[path] = keyed
    segmentation, field = _roles(folder, list(masks))
    parts = {PHOTOGRAPH: images}
    parts |= {p: masks[path] for p, path in ((SEGMENTATION, segmentation), (FIELD_MASK, field)) if path is not None}
    people: dict[str, list[str]] = {}
    for key in images:
        eye = _EYE.fullmatch(key)
        people.setdefault(eye["person"] if eye else key, []).append(key)
    subjects = []
    for person, keys in people.items():
        complete = {part: files for part, files in parts.items() if set(keys) <= set(files)}
        files_of = {part: tuple(folder / str(files[key]) for key in sorted(keys)) for part, files in complete.items()}
        subjects.append(CohortSubject(person, files_of))
    content = CohortContent(COLOURS, () if segmentation is None else None, PHOTOGRAPH, photographs=True)
    needed = content.parts if field is None else (*content.parts, FIELD_MASK)
    return Cohort("photographs", flag_missing(subjects, needed), content)


def _roles(folder: Path, others: Sequence[PurePath]) -> tuple[PurePath | None, PurePath | None]:
    """Return the folders of the segmentations and of the fields of view."""
    if len(others) == 1:
        return others[0], None
    segmentations = [path for path in others if _SEGMENTATION.search(path.name)]
    fields = [path for path in others if path not in segmentations and _FIELD.search(path.name)]
    if len(segmentations) > 1 or len(fields) > 1 or len(segmentations) + len(fields) < len(others):
        names = ", ".join(path.name for path in others)
        raise InputError(
            f"{folder} has several folders beside its pictures ({names}); name the right ones in a plan file"
        )
    return next(iter(segmentations), None), next(iter(fields), None)


def _by_key(files: dict[str, PurePath], whole_words: bool = True) -> dict[str, PurePath]:
    """Key each file by its stem without the prefix and suffix common to the folder; keep numbers whole."""
    stems = list(files)
    if len(stems) < 2:
        return dict(files)
    before = re.sub(r"\d+$", "", _common_prefix(stems))
    after = re.sub(r"^\d+", "", _common_prefix([stem[::-1] for stem in stems])[::-1])
    if whole_words and not re.match(r"[ _.-]", after):  # a shared letter may be part of the key
        after = re.search(r"[ _.-].*$|$", after)[0]  # type: ignore[index]
    return {stem[len(before) : len(stem) - len(after)]: path for stem, path in files.items()}


def _common_prefix(words: Sequence[str]) -> str:
    first, last = min(words), max(words)
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
