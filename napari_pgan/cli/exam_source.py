"""Real images on a model's grid: from a store, from folders of exams, or from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.cohort import Source
from napari_pgan.imaging.cohorts.discover import find_cohort
from napari_pgan.imaging.io.parts import BRAIN, SEGMENTATION
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, PreparedSubject, SubjectSettings, prepare_subject
from napari_pgan.latent import parse_seeds
from napari_pgan.model import Card
from napari_pgan.schema import Channels
from napari_pgan.store import open_store
from napari_pgan.store.slices import box_average, label_map, label_shares

AUTO = "auto"


@dataclass(frozen=True)
class Picture:
    """One slice of an exam, as the model would make it.

    Parameters
    ----------
    exam
        As its files or folder have it, or its key in a store: for the terminal.
    number
        Of the exam among those that were given, from 1.
    z
        Of the slice, counted from 0 on the oriented volume (axial: from the feet upwards).
    images
        (M, Y, X) float32 in [-1, 1].
    labels
        (Y, X) uint8, or None without a segmentation.
    """

    exam: str
    number: int
    z: int
    images: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class Wanted:
    """What is asked of the exams.

    Parameters
    ----------
    slices
        ``auto``: the one with the largest lesion, or without a segmentation with the largest head; else numbers and
        ranges such as ``60,64-70``.
    subjects
        Keys of a store's subjects; none stands for all that are held out.
    register, bias, strip
        What is done to volumes first, as in `PreprocessingSteps`; ``brain=file`` among the sources strips, too.
    """

    slices: str = AUTO
    subjects: tuple[str, ...] = ()
    register: bool = False
    bias: bool = False
    strip: bool = False


def pictures(
    card: Card, where: str, sources: Sequence[str], wanted: Wanted, tell: Callable[[str], None] = lambda line: None
) -> Iterator[Picture]:
    """The slices of exams, scaled and resampled as `prepare` does it, on the grid of a model.

    Parameters
    ----------
    card, where
        The model's, and its name for messages.
    sources
        A prepared store; or a folder with exams in a layout that `prepare` knows; or ``modality=file`` for each of the
        model's modalities, and ``seg=file`` and ``brain=file`` where there is a segmentation or a mask of the brain.
    wanted
        Which slices, and what is done before.
    tell
        Told of an exam among several that cannot be used; a single one is refused.

    Raises
    ------
    InputError
        A source is none of these, lacks what the model needs, cannot be read, or does not fit the model.
    """
    if card.architecture.dimensions != 2:
        raise InputError(f"{where}: makes volumes, and only slices can be encoded so far; give a model of slices")
    if len(sources) == 1 and ((Path(sources[0]) / "zarr.json").is_file() or "://" in sources[0]):
        if wanted.register or wanted.bias or wanted.strip:
            raise InputError("--register, --bias and --strip are for image files, and a store is prepared already")
        return _of_store(card, where, sources[0], wanted)
    if wanted.subjects:
        raise InputError("--subject names subjects of a store; give the files or the folder of one exam instead")
    exams = _exams(card, sources)
    if "=" in sources[0] and BRAIN in exams[0][1]:  # who names a mask wants the brain alone
        wanted = replace(wanted, strip=True)
    return _of_volumes(card, where, exams, wanted, tell)


def _of_store(card: Card, where: str, address: str, wanted: Wanted) -> Iterator[Picture]:
    from napari_pgan.evaluation.matching import match

    store = open_store(address)
    fit = match(card, store, where)
    factor = store.grid.shape[-1] // fit.size
    for number, key in enumerate(wanted.subjects or fit.held_out, 1):
        subject = store.subject(key)
        segmentation = np.asarray(subject.labels[:])
        if factor > 1:
            shares = label_shares(segmentation, store.channels.values, factor)
            segmentation = label_map(shares, store.channels.values)
        segmentation = _renamed(segmentation, store.channels, card.channels, fit.labels)
        lesion = (segmentation > 0).sum(axis=(1, 2))
        middle = subject.slices[len(subject.slices) // 2]
        z = _chosen(wanted.slices, lesion if lesion.any() else np.arange(len(lesion)) == middle)
        volume = box_average(np.asarray(subject.images[:])[:, z], factor)[list(fit.modalities)]
        for row, place in enumerate(z):
            yield Picture(key, number, place, volume[:, row], segmentation[place] if card.channels.labels else None)


def _renamed(segmentation: np.ndarray, have: Channels, want: Channels, labels: tuple[int, ...]) -> np.ndarray:
    """A label map with the values of a model in place of a store's."""
    table = np.zeros(256, np.uint8)
    for mine, theirs in enumerate(labels):
        table[have.labels[theirs].value] = want.labels[mine].value
    renamed: np.ndarray = table[segmentation]
    return renamed


def _of_volumes(
    card: Card, where: str, exams: list[tuple[str, Mapping[str, Source]]], wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[Picture]:
    frame = _frame(card, where, wanted)
    for number, (name, files) in enumerate(exams, 1):
        try:
            made = _prepared(card, files, frame)
            labelled = bool(made.labels.any())
            lesion = (made.labels > 0).sum(axis=(1, 2))
            head = (made.images > -0.95).any(axis=0).sum(axis=(1, 2))
            chosen = _chosen(wanted.slices, lesion if labelled else head)
        except InputError as error:
            if len(exams) == 1:
                raise InputError(f"{name}: {error}") from error
            tell(f"{name}: {error}; left out")
            continue
        for z in chosen:
            yield Picture(name, number, z, made.images[:, z], made.labels[z] if labelled else None)


def _prepared(card: Card, files: Mapping[str, Source], frame: SubjectSettings) -> PreparedSubject:
    there = {m: file for m in card.channels.modalities if (file := _named(files, m)) is not None}
    if missing := [m for m in card.channels.modalities if m not in there]:
        raise InputError(f"has no {', '.join(missing)}, which the model makes; say which file it is: {missing[0]}=FILE")
    labelled = SEGMENTATION in files and bool(card.channels.labels)
    if labelled:
        there[SEGMENTATION] = files[SEGMENTATION]
    if BRAIN in files:
        there[BRAIN] = files[BRAIN]
    return prepare_subject(there, card.channels if labelled else replace(card.channels, labels=()), frame)


def _frame(card: Card, where: str, wanted: Wanted) -> SubjectSettings:
    grid = card.grid
    axis = next((name for name, letters in ORIENTATIONS.items() if letters[1:] == grid.orientation), None)
    square = len(set(grid.shape)) == 1 and grid.spacing is not None and len(set(grid.spacing)) == 1
    if axis is None or not square or grid.spacing is None:
        raise InputError(
            f"{where}: does not say in millimetres where its slices lie, so that files cannot be brought there; give a "
            "prepared store"
        )
    reference = card.channels.modalities[0] if wanted.register or wanted.strip else None
    steps = PreprocessingSteps(reference=reference, register=wanted.register, bias=wanted.bias, strip=wanted.strip)
    return SubjectSettings(grid.shape[0], grid.spacing[0] * grid.shape[0], axis, may_cut=True, steps=steps)


def _exams(card: Card, sources: Sequence[str]) -> list[tuple[str, Mapping[str, Source]]]:
    """Names with files by part."""
    if len(sources) == 1 and "=" not in sources[0]:
        if Path(sources[0]).is_file():
            raise InputError(f"{sources[0]}: is one file of an exam; say which is which, as t1=FILE t2=FILE")
        found = find_cohort(sources[0]).subjects
        return [(subject.name, subject.files) for subject in found]
    files: dict[str, Source] = {}
    known = (*card.channels.modalities, SEGMENTATION, BRAIN)
    for text in sources:
        part, equals, path = text.partition("=")
        part = next((name for name in known if name.casefold() == part.strip().casefold()), part.strip())
        if not equals or not path:
            raise InputError(
                f"{text!r} is not written as modality=FILE; the model has {', '.join(card.channels.modalities)}"
            )
        if part not in known:
            raise InputError(f"{text!r}: the model has no {part!r}; give {', '.join(known[:-1])} or {known[-1]}")
        if part in files:
            raise InputError(f"{part} is given twice; give it once")
        files[part] = Path(path)
    return [("the exam", files)]


def _named(files: Mapping[str, Source], modality: str) -> Source | None:
    return next((file for name, file in files.items() if name.casefold() == modality.casefold()), None)


def _chosen(text: str, sizes: np.ndarray) -> list[int]:
    if text == AUTO:
        return [int(sizes.argmax())]
    try:
        chosen = parse_seeds(text)
    except InputError:
        raise InputError(f"--slices {text!r} is neither {AUTO} nor a list such as 60 or 60,64-70") from None
    if max(chosen) >= len(sizes):
        raise InputError(f"has no slice {max(chosen)}; its slices go from 0 to {len(sizes) - 1}")
    return chosen
