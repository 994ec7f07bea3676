"""Subjects and files of a cohort on disk, independent of its layout."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_pgan.imaging.io.dicom import Series
from napari_pgan.imaging.io.modality_names import MASKS, MODALITIES, SEGMENTATION, describe_part
from napari_pgan.schema import DisplayGroup, Label

Source = Path | Series | tuple[Path, ...]
COLOURS = ("red", "green", "blue")
PHOTOGRAPH = "photograph"
FIELD_MASK = "field"
_ORDER = {name: i for i, name in enumerate((*MODALITIES, "pd"))}


@dataclass(frozen=True)
class CohortSubject:
    """The files of one subject, or of one session of a subject.

    Parameters
    ----------
    name
        From folders or files. May identify a person, so it is printed on the terminal and never stored.
    files
        Modality, ``"seg"`` or ``"brain"`` (optional) → file or DICOM series. Photographs have the parts
        ``"photograph"``, ``"seg"`` and optionally ``"field"`` (field of view), each with one file per picture.
    style
        Style of the file names, if the layout has several (see `FileName`).
    problem
        Why the subject cannot be used, or None.
    person
        Common to all sessions of a person, so that a split keeps them together; None: the name.
    """

    name: str
    files: Mapping[str, Source]
    style: str = ""
    problem: str | None = None
    person: str | None = None


@dataclass(frozen=True)
class CohortContent:
    """Modalities and labels that every subject of a cohort should have.

    Parameters
    ----------
    modalities
        In channel order.
    labels
        Labels of the segmentations; None: inferred from their values; empty: no segmentations.
    reference
        The modality whose grid the others are resampled to.
    ignored
        Label values that count as background.
    brats
        Whether label values follow BraTS.
    photographs
        Whether subjects are colour photographs.
    """

    modalities: tuple[str, ...]
    labels: tuple[Label, ...] | None
    reference: str
    ignored: tuple[int, ...] = ()
    brats: bool = False
    photographs: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts that a subject needs."""
        images = (PHOTOGRAPH,) if self.photographs else self.modalities
        return images if self.labels == () else (*images, SEGMENTATION)

    @property
    def groups(self) -> tuple[DisplayGroup, ...]:
        """Display groups of the channels."""
        return (DisplayGroup(PHOTOGRAPH, COLOURS),) if self.photographs else ()


@dataclass(frozen=True)
class Cohort:
    """All subjects found, sorted by name, including those that cannot be used.

    Parameters
    ----------
    layout
        Name of the layout on disk.
    subjects
        All subjects.
    content
        What each subject should have.
    unused
        Image files, relative to the folder, that belong to no subject.
    """

    layout: str
    subjects: tuple[CohortSubject, ...]
    content: CohortContent = field(repr=False)
    unused: tuple[Path, ...] = ()


def infer_content(subjects: Sequence[CohortSubject]) -> CohortContent:
    """Choose the modalities, and whether there is a segmentation, that more than half of the subjects have."""
    counts = Counter(part for subject in subjects for part in subject.files)
    images = [part for part in counts if part not in MASKS]
    modalities = sorted(
        (part for part in images if 2 * counts[part] > len(subjects)), key=lambda m: (_ORDER.get(m, 99), m)
    )
    if not modalities:  # the most frequent one, so that the others can be reported as missing
        modalities = [max(images, key=lambda p: (counts[p], p), default="t1")]
    labels = None if 2 * counts[SEGMENTATION] > len(subjects) else ()
    return CohortContent(tuple(modalities), labels, modalities[0])


def flag_missing(subjects: Iterable[CohortSubject], parts: Sequence[str]) -> tuple[CohortSubject, ...]:
    """Sort subjects by name; those that lack some of `parts` and have no problem yet get it as their problem."""
    checked = []
    for subject in subjects:
        missing = [part for part in parts if part not in subject.files]
        if missing and subject.problem is None:
            subject = replace(subject, problem=f"{join_parts(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        checked.append(subject)
    return tuple(sorted(checked, key=lambda subject: subject.name))


def group_by_subject(files: Iterable[tuple[str, str | None, str, Source]]) -> list[CohortSubject]:
    """Group (name, person, part, file) by name; a duplicate part is the subject's problem."""
    groups: dict[str, tuple[str | None, dict[str, Source], list[str]]] = {}
    for name, person, part, file in files:
        _, parts, duplicates = groups.setdefault(name, (person, {}, []))
        if part in parts:
            duplicates.append(part)
        parts.setdefault(part, file)
    return [
        CohortSubject(name, parts, problem=duplicate_problem(duplicates), person=person)
        for name, (person, parts, duplicates) in groups.items()
    ]


def source_files(source: Source) -> tuple[Path, ...]:
    """Return all files of a part."""
    if isinstance(source, Path):
        return (source,)
    return source if isinstance(source, tuple) else source.files


def duplicate_problem(parts: Sequence[str]) -> str | None:
    """Return the problem of a subject with several files for a part; None if `parts` is empty."""
    if not parts:
        return None
    return f"{join_parts(parts)} has several files; remove all but one, or name the right one in a plan file"


def join_parts(parts: Iterable[str]) -> str:
    """Join parts in words: ``t1, t2 and the segmentation``."""
    words = [describe_part(part) for part in dict.fromkeys(parts)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder except in hidden folders and stores; follow links, but no folder twice."""
    seen = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".zarr"))
        yield from (Path(root, name) for name in sorted(names))
