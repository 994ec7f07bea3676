"""The plan file: which file is which, for a cohort in a layout that is not known."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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
from napari_pgan.imaging.io.parts import BRAIN, SEGMENTATION
from napari_pgan.schema import Label, base_of

_PLACEHOLDER = re.compile(r"\{(?P<name>\w+)(?::(?P<regex>(?:[^{}]|\{[^{}]*\})+))?\}|(?P<folders>\*\*/)|(?P<any>\*)")
_NAME = re.compile(r"\w[\w +-]*")
_TAKEN = {SEGMENTATION: "segmentation", BRAIN: "brain mask", "atlas": "atlas"}
_NAMES = ("subject", "session", "picture")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SeriesPattern(_Strict):
    """A modality told by the description of its DICOM series; ``*`` and ``?`` stand for anything."""

    series: str


class PhotographPlan(_Strict):
    """Colour photographs, and the masks of their fields of view where there are any."""

    image: str
    field: str | None = None


class GridPlan(_Strict):
    """What `prepare` makes of it where the command does not say; as the options of the same names."""

    size: int | None = None
    fov: float | int | None = None
    axis: Literal["axial", "coronal", "sagittal"] | None = None

    @field_validator("size")
    @classmethod
    def _grows(cls, size: int | None) -> int | None:
        try:
            if size is not None:
                base_of(size)
        except InputError as error:
            raise ValueError(str(error)) from None
        if size is not None and size < 8:
            raise ValueError(f"size {size} is too small; give 8 at least, such as 128")
        return size

    @field_validator("fov")
    @classmethod
    def _is_length(cls, fov: float | None) -> float | None:
        if fov is not None and not 0 < fov < 10_000:
            raise ValueError(f"{fov:g} is no length; give millimetres, such as 192")
        return fov


class NamedLabel(_Strict):
    """A label's name and colour."""

    name: str
    color: str


_Value = Annotated[int, Field(ge=1, le=255)]


class CohortPlan(_Strict):
    """A plan file as it was read.

    Parameters
    ----------
    modalities
        Modality → pattern of its files' paths below the source, or a rule for DICOM series.
    photograph
        In place of modalities.
    segmentation
        Pattern of the label maps.
    brain_mask
        Pattern of masks of the brain; the skull is then taken off, with these where a subject has one.
    labels
        Label value → name, or name and colour; by default every value that the segmentations hold.
    ignore
        Label values that count as background.
    reference
        The modality whose grid the others are brought to; by default the first.
    grid
        Size, field of view and direction of slices.
    sided
        Whether left and right differ.
    label_interpolation
        How label maps come onto another grid.
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

    @model_validator(mode="after")
    def _agrees(self) -> CohortPlan:
        if bool(self.modalities) == (self.photograph is not None):
            raise ValueError("name either modalities or a photograph")
        if self.reference is not None and self.reference not in self.modalities:
            raise ValueError(f"the reference {self.reference!r} is none of the modalities")
        for part in self.modalities:
            if what := _TAKEN.get(part.lower()):  # some file systems take capitals for small letters
                raise ValueError(f"{part!r} is the {what}'s name; call the modality something else")
            if not _NAME.fullmatch(part):  # pictures and transforms are called after it
                raise ValueError(f"{part!r} is no name of a modality; use letters, digits, '_', '-', '+' and blanks")
        if self.brain_mask is not None and self.photograph is not None:
            raise ValueError("there is a brain mask, and photographs have no brain")
        if (self.labels is not None or self.ignore) and self.segmentation is None:
            raise ValueError("there are labels, but no segmentation")
        if both := set(self.labels or ()) & set(self.ignore):
            raise ValueError(f"the value {min(both)} is a label and to be ignored")
        try:
            names = [label.name for label in _labels(self.labels or {})]
        except InputError as error:  # of its colour
            raise ValueError(str(error)) from None
        if twice := [name for name, n in Counter(names).items() if n > 1]:
            raise ValueError(f"two label values are called {twice[0]!r}; each is a channel, so give each its own name")
        for part, pattern in self.patterns().items():
            _compiled(part, pattern, self.photograph is not None)
        return self

    def patterns(self) -> dict[str, str]:
        """Part → pattern of paths, for every part that has one."""
        found = {part: pattern for part, pattern in self.modalities.items() if isinstance(pattern, str)}
        if self.photograph is not None:
            found[PHOTOGRAPH] = self.photograph.image
            if self.photograph.field is not None:
                found[FIELD_MASK] = self.photograph.field
        if self.segmentation is not None:
            found[SEGMENTATION] = self.segmentation
        if self.brain_mask is not None:
            found[BRAIN] = self.brain_mask
        return found

    def content(self) -> CohortContent:
        """What every subject should have."""
        labels: tuple[Label, ...] | None = ()
        if self.segmentation is not None:
            labels = None if self.labels is None else tuple(_labels(self.labels))
        if self.photograph is not None:
            return CohortContent(COLOURS, labels, PHOTOGRAPH, self.ignore, photographs=True)
        modalities = tuple(self.modalities)
        return CohortContent(modalities, labels, self.reference or modalities[0], self.ignore)

    def find(self, folder: Path, paths: Iterable[PurePath]) -> Cohort:
        """The cohort of the files (relative to `folder`)."""
        content = self.content()
        every = sorted(paths, key=str)
        photographs = self.photograph is not None
        if photographs:
            subjects = _with_pictures(self._matches(folder, every))
        else:
            by_series = {part: rule.series for part, rule in self.modalities.items() if isinstance(rule, SeriesPattern)}
            files: list[tuple[str, str | None, str, Source]]
            files = [(name, person, part, file) for name, person, part, _, file in self._matches(folder, every)]
            if by_series:
                files += list(dicom_tree.series_files(folder, every, by_series))
            subjects = group_by_subject(files)
        field = (FIELD_MASK,) if self.photograph is not None and self.photograph.field is not None else ()
        return Cohort("plan", flag_missing(map(_apart, subjects), (*content.parts, *field)), content)

    def _matches(self, folder: Path, paths: list[PurePath]) -> Iterator[tuple[str, str, str, str, Path]]:
        """(name, person, part, picture, file) of every file that a pattern fits."""
        for part, pattern in self.patterns().items():
            expression = _compiled(part, pattern, self.photograph is not None)
            for path in paths:
                if match := expression.fullmatch(path.as_posix()):
                    said = match.groupdict()
                    name = f"{said['subject']} {said['session']}" if said.get("session") else said["subject"]
                    yield name, said["subject"], part, said.get("picture") or "", folder / str(path)


_LEVELS: dict[Any, type[BaseModel]] = {
    "grid": GridPlan,
    "photograph": PhotographPlan,
    "SeriesPattern": SeriesPattern,
    "NamedLabel": NamedLabel,
}
_BRANCHES = ("SeriesPattern", "NamedLabel", "str", "int", "float")


def read_plan(path: str | os.PathLike[str]) -> CohortPlan:
    """Read a plan file.

    Raises
    ------
    InputError
        There is no such file, or it says something that is not understood; with the key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a plan; name a YAML file") from error
    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise InputError(f"{path} is no sound YAML{where}; put patterns in quotes") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} is no plan; it says nothing of modalities")
    try:
        return CohortPlan.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{path}: {_sentence(error)}") from error


def _sentence(error: ValidationError) -> str:
    """Where a plan is wrong, and how, of the first of pydantic's findings that says most."""
    found = error.errors()
    unknown = next((one for one in found if one["type"] == "extra_forbidden"), None)
    first = unknown or found[0]
    # pydantic adds the branches of a union to the keys, and "[key]"
    keys = [str(part) for part in first["loc"] if part not in _BRANCHES and not str(part).endswith("]")]
    if unknown is not None:
        level = next((_LEVELS[part] for part in reversed(first["loc"][:-1]) if part in _LEVELS), CohortPlan)
        known = list(level.model_fields)
        close = get_close_matches(keys[-1], known, 1)
        mean = f"did you mean {close[0]!r}? " if close else ""
        return f"{'.'.join(keys)}: there is no such key; {mean}there are {', '.join(known)}"
    said = first["msg"].removeprefix("Value error, ")
    given = (
        f", not {first['input']!r}"
        if isinstance(first["input"], str | int | float) and "error" not in first.get("ctx", {})
        else ""
    )
    return f"{'.'.join(keys)}{': ' if keys else ''}{said[:1].lower()}{said[1:]}{given}"


def _compiled(part: str, pattern: str, photographs: bool) -> re.Pattern[str]:
    """The expression of whole relative paths that a pattern stands for."""
    plain = _PLACEHOLDER.sub("", pattern)
    if re.match(r"/|~|[A-Za-z]:", pattern) or "\\" in plain or ".." in pattern.split("/"):
        raise ValueError(f"{part}: {pattern!r} points outside the source; give a path below it, with /")
    seen: set[str] = set()

    def said(match: re.Match[str]) -> str:
        if match["folders"]:
            return "(?:.*/)?"
        if match["any"]:
            return "[^/]*"
        name = match["name"]
        if name not in _NAMES or (name == "picture" and not photographs) or (name == "session" and photographs):
            raise ValueError(f"{part}: {{{name}}} is unknown here; there are {{subject}} and {{{_other(photographs)}}}")
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{match['regex'] or '[^/]+?'})"

    pieces, end = [], 0
    for match in _PLACEHOLDER.finditer(pattern):
        pieces += [re.escape(pattern[end : match.start()]), said(match)]
        end = match.end()
    pieces.append(re.escape(pattern[end:]))
    if "subject" not in seen:
        raise ValueError(f"{part}: {pattern!r} says nowhere what the {{subject}} is")
    try:
        return re.compile("".join(pieces))
    except re.error as error:
        raise ValueError(f"{part}: {pattern!r} holds an expression that is not understood ({error})") from error


def _other(photographs: bool) -> str:
    return "picture" if photographs else "session"


def _labels(named: Mapping[int, str | NamedLabel]) -> Iterator[Label]:
    for i, (value, label) in enumerate(named.items()):
        if isinstance(label, str):
            yield Label(value, label, PALETTE[i % len(PALETTE)])
        else:
            yield Label(value, label.name, label.color)


def _apart(subject: CohortSubject) -> CohortSubject:
    """The subject, with parts that are one and the same file as its problem."""
    by_file: dict[Source, list[str]] = {}
    for part, file in subject.files.items():
        if isinstance(file, Path | tuple):  # a series fits one rule alone
            by_file.setdefault(file, []).append(part)
    same = next((parts for parts in by_file.values() if len(parts) > 1), None)
    if same is None or subject.problem is not None:
        return subject
    return replace(subject, problem=f"{join_parts(same)} are one and the same file; make the plan's patterns narrower")


def _with_pictures(matches: Iterable[tuple[str, str, str, str, Path]]) -> list[CohortSubject]:
    """Subjects of photographs: each part with a file a picture, where no picture lacks it."""
    found: dict[str, dict[str, dict[str, list[Path]]]] = {}
    for name, _, part, picture, path in matches:
        found.setdefault(name, {}).setdefault(part, {}).setdefault(picture, []).append(path)
    subjects = []
    for name, parts in found.items():
        pictures = sorted(parts.get(PHOTOGRAPH, {}))
        twice = [part for part, files in parts.items() if any(len(paths) > 1 for paths in files.values())]
        files: dict[str, Source] = {
            part: tuple(by_picture[picture][0] for picture in pictures)
            for part, by_picture in parts.items()
            if pictures and set(pictures) <= set(by_picture)
        }
        problem = f"{' and '.join(twice)} is there twice; make the pattern narrower" if twice else None
        subjects.append(CohortSubject(name, files, problem=problem))
    return subjects
