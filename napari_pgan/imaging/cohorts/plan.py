"""Plan files: which file is which in a cohort of unknown layout."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts import dicom_tree
from napari_pgan.imaging.cohorts.brats_labels import PALETTE
from napari_pgan.imaging.cohorts.cohort import (
    COLOURS,
    FIELD_MASK,
    PHOTOGRAPH,
    Cohort,
    CohortContent,
    CohortSubject,
    Source,
    flag_missing,
    group_by_subject,
    join_parts,
)
from napari_pgan.imaging.cohorts.patterns import compile_pattern
from napari_pgan.imaging.io.modality_names import ATLAS, BRAIN, MASKS, SEGMENTATION
from napari_pgan.schema import Label, base_of
from napari_pgan.yaml_input import read_yaml

_RESERVED = {**MASKS, ATLAS: "atlas"}
_MODALITY_NAME = r"\w[\w +-]*"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SeriesPattern(_Strict):
    """A modality identified by the description of its DICOM series, with ``*`` and ``?`` as wildcards."""

    series: str


class PhotographPlan(_Strict):
    """Patterns of colour photographs and of optional masks of their fields of view."""

    image: str
    field: str | None = None


class GridPlan(_Strict):
    """Defaults for the options of `prepare` with the same names."""

    size: int | None = None
    fov: float | int | None = None
    axis: Literal["axial", "coronal", "sagittal"] | None = None

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: int | None) -> int | None:
        if size is not None:
            try:
                base_of(size)
            except InputError as error:
                raise ValueError(str(error)) from None
            if size < 8:
                raise ValueError(f"size {size} is too small; give at least 8, such as 128")
        return size

    @field_validator("fov")
    @classmethod
    def _check_fov(cls, fov: float | None) -> float | None:
        if fov is not None and not 0 < fov < 10_000:
            raise ValueError(f"{fov:g} is not a length; give millimetres, such as 192")
        return fov


class NamedLabel(_Strict):
    """Name and colour of a label."""

    name: str
    color: str


_Value = Annotated[int, Field(ge=1, le=255)]


class CohortPlan(_Strict):
    """Content of a plan file.

    Parameters
    ----------
    modalities
        Modality → pattern of its files' paths relative to the source, or of DICOM series.
    photograph
        Instead of modalities.
    segmentation
        Pattern of the label maps.
    brain_mask
        Pattern of brain masks; subjects that have one are skull-stripped with it.
    labels
        Label value → name, or name and colour; default: every value in the segmentations.
    ignore
        Label values that count as background.
    reference
        The modality whose grid the others are resampled to; default: the first.
    grid
        Size, field of view and slice direction.
    sided
        Whether left and right differ.
    label_interpolation
        Resampling of label maps.
    """

    modalities: dict[str, str | SeriesPattern] = Field(default_factory=dict)
    photograph: PhotographPlan | None = None
    segmentation: str | None = None
    brain_mask: str | None = None
    labels: dict[_Value, str | NamedLabel] | None = None
    ignore: tuple[_Value, ...] = Field(default=(), strict=False)
    reference: str | None = None
    grid: GridPlan = GridPlan()
    sided: bool | None = None
    label_interpolation: Literal["nearest", "gaussian"] | None = None

    @field_validator("modalities")
    @classmethod
    def _check_names(cls, modalities: dict[str, str | SeriesPattern]) -> dict[str, str | SeriesPattern]:
        for name in modalities:
            if reserved := _RESERVED.get(name.lower()):  # some file systems ignore case
                raise ValueError(f"{name!r} is the name of the {reserved}; choose another name for the modality")
            if not re.fullmatch(_MODALITY_NAME, name):  # it becomes part of file names
                raise ValueError(f"{name!r} is not a modality name; use letters, digits, '_', '-', '+' and blanks")
        return modalities

    @model_validator(mode="after")
    def _check(self) -> CohortPlan:
        if bool(self.modalities) == (self.photograph is not None):
            raise ValueError("give either modalities or a photograph")
        if self.reference is not None and self.reference not in self.modalities:
            raise ValueError(f"the reference {self.reference!r} is not among the modalities")
        if self.brain_mask is not None and self.photograph is not None:
            raise ValueError("photographs have no brain; remove brain_mask")
        if (self.labels is not None or self.ignore) and self.segmentation is None:
            raise ValueError("there are labels but no segmentation")
        if both := set(self.labels or ()) & set(self.ignore):
            raise ValueError(f"the value {min(both)} is both a label and ignored")
        try:
            names = [label.name for label in _labels(self.labels or {})]
        except InputError as error:  # an invalid colour
            raise ValueError(str(error)) from None
        if duplicates := [name for name, n in Counter(names).items() if n > 1]:
            raise ValueError(f"two label values are called {duplicates[0]!r}; give each label its own name")
        for part, pattern in self.patterns().items():
            compile_pattern(part, pattern, self._placeholder)
        return self

    @property
    def _placeholder(self) -> str:
        return "session" if self.photograph is None else "picture"

    def patterns(self) -> dict[str, str]:
        """Return part → path pattern for every part that has one."""
        patterns = {
            **self.modalities,
            PHOTOGRAPH: self.photograph and self.photograph.image,
            FIELD_MASK: self.photograph and self.photograph.field,
            SEGMENTATION: self.segmentation,
            BRAIN: self.brain_mask,
        }
        return {part: pattern for part, pattern in patterns.items() if isinstance(pattern, str)}

    def content(self) -> CohortContent:
        """Return what every subject should have."""
        labels: tuple[Label, ...] | None = ()
        if self.segmentation is not None:
            labels = None if self.labels is None else tuple(_labels(self.labels))
        if self.photograph is not None:
            return CohortContent(COLOURS, labels, PHOTOGRAPH, self.ignore, photographs=True)
        modalities = tuple(self.modalities)
        return CohortContent(modalities, labels, self.reference or modalities[0], self.ignore)

    def find(self, folder: Path, paths: Iterable[PurePath]) -> Cohort:
        """Find the cohort among files (relative to `folder`)."""
        content = self.content()
        paths = sorted(paths, key=str)
        parts = content.parts
        if self.photograph is not None:
            subjects = _photograph_subjects(self._matches(folder, paths))
            parts += (FIELD_MASK,) if self.photograph.field is not None else ()
        else:
            files: list[tuple[str, str | None, str, Source]]
            files = [(name, person, part, file) for name, person, part, _, file in self._matches(folder, paths)]
            if series := {
                part: rule.series for part, rule in self.modalities.items() if isinstance(rule, SeriesPattern)
            }:
                files += dicom_tree.series_files(folder, paths, series)
            subjects = group_by_subject(files)
        return Cohort("plan", flag_missing(map(_flag_shared_files, subjects), parts), content)

    def _matches(self, folder: Path, paths: list[PurePath]) -> Iterator[tuple[str, str, str, str, Path]]:
        """Yield (name, person, part, picture, file) of every file that matches a pattern."""
        for part, pattern in self.patterns().items():
            expression = compile_pattern(part, pattern, self._placeholder)
            for path in paths:
                if match := expression.fullmatch(path.as_posix()):
                    values = match.groupdict()
                    person = values["subject"]
                    name = f"{person} {values['session']}" if values.get("session") else person
                    yield name, person, part, values.get("picture") or "", folder / str(path)


def read_plan(path: str | os.PathLike[str]) -> CohortPlan:
    """Read a plan file.

    Raises
    ------
    InputError
        The file cannot be read or holds an invalid value; the message names the key.
    """
    return read_yaml(path, CohortPlan, "give a plan file in YAML, with patterns in quotes")


def _labels(named: Mapping[int, str | NamedLabel]) -> Iterator[Label]:
    for i, (value, label) in enumerate(named.items()):
        if isinstance(label, str):
            yield Label(value, label, PALETTE[i % len(PALETTE)])
        else:
            yield Label(value, label.name, label.color)


def _flag_shared_files(subject: CohortSubject) -> CohortSubject:
    """Make it the subject's problem if one file is used for several parts."""
    by_file: dict[Source, list[str]] = {}
    for part, file in subject.files.items():
        if isinstance(file, Path | tuple):  # a series matches a single pattern
            by_file.setdefault(file, []).append(part)
    shared = next((parts for parts in by_file.values() if len(parts) > 1), None)
    if shared is None or subject.problem is not None:
        return subject
    return replace(subject, problem=f"{join_parts(shared)} are the same file; make the plan's patterns narrower")


def _photograph_subjects(matches: Iterable[tuple[str, str, str, str, Path]]) -> list[CohortSubject]:
    """Group photographs into subjects; a part counts if every picture of the subject has it."""
    groups: dict[str, dict[str, dict[str, list[Path]]]] = {}
    for name, _, part, picture, path in matches:
        groups.setdefault(name, {}).setdefault(part, {}).setdefault(picture, []).append(path)
    subjects = []
    for name, parts in groups.items():
        pictures = sorted(parts.get(PHOTOGRAPH, {}))
        duplicates = [part for part, files in parts.items() if any(len(paths) > 1 for paths in files.values())]
        files: dict[str, Source] = {
            part: tuple(by_picture[picture][0] for picture in pictures)
            for part, by_picture in parts.items()
            if pictures and set(pictures) <= set(by_picture)
        }
        problem = f"{' and '.join(duplicates)} has several files per picture; make the pattern narrower"
        subjects.append(CohortSubject(name, files, problem=problem if duplicates else None))
    return subjects
