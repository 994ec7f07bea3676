"""What was found of a cohort on disk, whatever its layout."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_pgan.imaging.io.dicom import Series
from napari_pgan.imaging.io.parts import BRAIN, MODALITIES, SEGMENTATION
from napari_pgan.schema import DisplayGroup, Label

Source = Path | Series | tuple[Path, ...]
COLOURS = ("red", "green", "blue")
PHOTOGRAPH = "photograph"
FIELD_MASK = "field"
_ORDER = {name: i for i, name in enumerate((*MODALITIES, "pd"))}


@dataclass(frozen=True)
class CohortSubject:
    """The files of one subject, or of one of its sessions.

    Parameters
    ----------
    name
        As the folders or files have it; may tell who it is, so it goes to the terminal and nowhere else.
    files
        Modality, ``"seg"`` or ``"brain"`` (a mask that nobody needs) → file, or DICOM series. A subject of photographs
        has the parts ``"photograph"``, ``"seg"`` and, where there is one, ``"field"`` (the field of view), each with a
        file a picture.
    style
        Of the file names, where their layout has several (see `FileName`).
    problem
        Why it cannot be used, or None.
    person
        What sessions of the same person have in common, so that a split keeps them together; None: the name.
    """

    name: str
    files: Mapping[str, Source]
    style: str = ""
    problem: str | None = None
    person: str | None = None


@dataclass(frozen=True)
class CohortContent:
    """What every subject of a cohort has.

    Parameters
    ----------
    modalities
        In the order of the channels.
    labels
        Of the segmentations; None: their values tell; empty: there are no segmentations.
    reference
        The modality on whose grid the others are brought.
    ignored
        Label values that count as background.
    brats
        Whether label values mean what BraTS says.
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
        """The files that a subject needs."""
        images = (PHOTOGRAPH,) if self.photographs else self.modalities
        return images if self.labels == () else (*images, SEGMENTATION)

    @property
    def groups(self) -> tuple[DisplayGroup, ...]:
        """How the channels are shown."""
        return (DisplayGroup(PHOTOGRAPH, COLOURS),) if self.photographs else ()


@dataclass(frozen=True)
class Cohort:
    """The subjects of a cohort, sorted by name, those that cannot be used included.

    Parameters
    ----------
    layout
        How it lies on disk, for people.
    subjects
        All that was found.
    content
        What each should have.
    unclaimed
        Files by whose names they hold images, and that no subject has a part from; relative to the folder.
    """

    layout: str
    subjects: tuple[CohortSubject, ...]
    content: CohortContent = field(repr=False)
    unclaimed: tuple[Path, ...] = ()


def infer_content(subjects: Sequence[CohortSubject]) -> CohortContent:
    """The modalities that more than half of the subjects have, and whether more than half have a segmentation."""
    counts = Counter(part for subject in subjects for part in subject.files)
    usual = [part for part, n in counts.items() if 2 * n > len(subjects)]
    modalities = sorted(
        (part for part in usual if part not in (SEGMENTATION, BRAIN)), key=lambda m: (_ORDER.get(m, 99), m)
    )
    if not modalities:  # no two alike: the commonest, so that what is missing can be said
        modalities = [
            max((p for p in counts if p not in (SEGMENTATION, BRAIN)), key=lambda p: (counts[p], p), default="t1")
        ]
    return CohortContent(tuple(modalities), None if SEGMENTATION in usual else (), modalities[0])


def flag_missing(subjects: Iterable[CohortSubject], parts: Sequence[str]) -> tuple[CohortSubject, ...]:
    """The subjects, sorted by name, with what each lacks of `parts` as its problem, if it has none yet."""
    checked = []
    for subject in subjects:
        missing = [part for part in parts if part not in subject.files]
        if missing and subject.problem is None:
            subject = replace(subject, problem=f"{join_parts(missing)} {'is' if len(missing) == 1 else 'are'} missing")
        checked.append(subject)
    return tuple(sorted(checked, key=lambda subject: subject.name))


def group_by_subject(
    files: Iterable[tuple[str, str | None, str, Source]],
) -> list[CohortSubject]:
    """Subjects from (name, person, part, file); a part that is there twice is the subject's problem."""
    found: dict[str, tuple[str | None, dict[str, Source], list[str]]] = {}
    for name, person, part, file in files:
        _, parts, twice = found.setdefault(name, (person, {}, []))
        if part in parts:
            twice.append(part)
        parts.setdefault(part, file)
    return [
        CohortSubject(name, parts, problem=duplicate_problem(twice) if twice else None, person=person)
        for name, (person, parts, twice) in found.items()
    ]


def source_files(source: Source) -> tuple[Path, ...]:
    """Every file that a part is made of."""
    if isinstance(source, Path):
        return (source,)
    return source if isinstance(source, tuple) else tuple(source.files)


def duplicate_problem(parts: Iterable[str]) -> str:
    """The sentence for parts that stand twice."""
    return f"{join_parts(parts)} is there twice; remove the one that is not meant, or say in a plan file which is"


def join_parts(parts: Iterable[str]) -> str:
    """Parts as words: ``t1, t2 and the segmentation``."""
    said = {SEGMENTATION: "the segmentation", BRAIN: "the brain mask"}
    words = [said.get(part, part) for part in dict.fromkeys(parts)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def walk_files(folder: Path) -> Iterator[Path]:
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
