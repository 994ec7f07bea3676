"""Slices of real exams on a model's grid, from a store, folders or files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.cohort import Source
from napari_pgan.imaging.cohorts.discover import find_cohort
from napari_pgan.imaging.io.modality_names import BRAIN, SEGMENTATION
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, PreparedSubject, SubjectSettings, prepare_subject
from napari_pgan.latent import parse_seeds
from napari_pgan.model import Card
from napari_pgan.schema import Channels
from napari_pgan.store import open_store
from napari_pgan.store.slices import box_average, label_map, label_shares

AUTO = "auto"


@dataclass(frozen=True)
class ExamSlice:
    """One slice of an exam on the model's grid.

    Parameters
    ----------
    exam
        Name of its files or folder, or its key in a store; only for the terminal.
    number
        Number of the exam, from 1.
    z
        Slice of the oriented volume, from 0 (axial: from the feet upwards).
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
class ExamOptions:
    """Which slices to take, and how volumes are preprocessed.

    Parameters
    ----------
    slices
        ``auto``: the slice with the largest lesion, or without a segmentation the largest head; or numbers and ranges
        such as ``60,64-70``.
    subjects
        Subject keys of a store; empty for all that are held out.
    register, bias, strip
        See `PreprocessingSteps`; ``brain=file`` among the sources implies `strip`.
    """

    slices: str = AUTO
    subjects: tuple[str, ...] = ()
    register: bool = False
    bias: bool = False
    strip: bool = False


def exam_slices(
    card: Card,
    where: str,
    sources: Sequence[str],
    options: ExamOptions,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[ExamSlice]:
    """Yield slices of exams, scaled and resampled to a model's grid as in `prepare`.

    Parameters
    ----------
    card, where
        The model's card, and its name for messages.
    sources
        A prepared store; or a folder of exams in a layout that `prepare` knows; or ``modality=file`` for each of the
        model's modalities, and optionally ``seg=file`` and ``brain=file``.
    options
        Which slices, and which preprocessing.
    tell
        Called with a message on each exam that cannot be used; a single exam raises InputError instead.

    Raises
    ------
    InputError
        A source is none of these, lacks a modality, cannot be read, or does not fit the model.
    """
    if card.architecture.dimensions != 2:
        raise InputError(f"{where}: generates volumes; give a model of slices, since only slices can be encoded")
    if len(sources) == 1 and ((Path(sources[0]) / "zarr.json").is_file() or "://" in sources[0]):
        if options.register or options.bias or options.strip:
            raise InputError("--register, --bias and --strip apply to image files, not to a prepared store; omit them")
        return _of_store(card, where, sources[0], options)
    if options.subjects:
        raise InputError("--subject applies to stores only; give the files or the folder of one exam instead")
    exams = _exams(card, sources)
    if "=" in sources[0] and BRAIN in exams[0][1]:  # a brain mask implies --strip
        options = replace(options, strip=True)
    return _of_volumes(card, where, exams, options, tell)


def _of_store(card: Card, where: str, address: str, options: ExamOptions) -> Iterator[ExamSlice]:
    from napari_pgan.evaluation.matching import match

    store = open_store(address)
    fit = match(card, store, where)
    factor = store.grid.shape[-1] // fit.size
    for number, key in enumerate(options.subjects or fit.held_out, 1):
        subject = store.subject(key)
        segmentation = np.asarray(subject.labels[:])
        if factor > 1:
            shares = label_shares(segmentation, store.channels.values, factor)
            segmentation = label_map(shares, store.channels.values)
        segmentation = _renamed(segmentation, store.channels, card.channels, fit.labels)
        lesion = (segmentation > 0).sum(axis=(1, 2))
        middle = subject.slices[len(subject.slices) // 2]
        z = _chosen(options.slices, lesion if lesion.any() else np.arange(len(lesion)) == middle)
        volume = box_average(np.asarray(subject.images[:])[:, z], factor)[list(fit.modalities)]
        for row, index in enumerate(z):
            yield ExamSlice(key, number, index, volume[:, row], segmentation[index] if card.channels.labels else None)


def _renamed(segmentation: np.ndarray, have: Channels, want: Channels, labels: tuple[int, ...]) -> np.ndarray:
    """Return a label map with the model's label values instead of the store's."""
    table = np.zeros(256, np.uint8)
    for mine, theirs in enumerate(labels):
        table[have.labels[theirs].value] = want.labels[mine].value
    renamed: np.ndarray = table[segmentation]
    return renamed


def _of_volumes(
    card: Card,
    where: str,
    exams: list[tuple[str, Mapping[str, Source]]],
    options: ExamOptions,
    tell: Callable[[str], None] = lambda line: None,
) -> Iterator[ExamSlice]:
    frame = _frame(card, where, options)
    for number, (name, files) in enumerate(exams, 1):
        try:
            made = _prepared(card, files, frame)
            labelled = bool(made.labels.any())
            lesion = (made.labels > 0).sum(axis=(1, 2))
            head = (made.images > -0.95).any(axis=0).sum(axis=(1, 2))
            chosen = _chosen(options.slices, lesion if labelled else head)
        except InputError as error:
            if len(exams) == 1:
                raise InputError(f"{name}: {error}") from error
            tell(f"{name}: {error}; skipped")
            continue
        for z in chosen:
            yield ExamSlice(name, number, z, made.images[:, z], made.labels[z] if labelled else None)


def _prepared(card: Card, files: Mapping[str, Source], frame: SubjectSettings) -> PreparedSubject:
    there = {m: file for m in card.channels.modalities if (file := _named(files, m)) is not None}
    if missing := [m for m in card.channels.modalities if m not in there]:
        raise InputError(f"has no {', '.join(missing)}, which the model needs; give {missing[0]}=FILE")
    labelled = SEGMENTATION in files and bool(card.channels.labels)
    if labelled:
        there[SEGMENTATION] = files[SEGMENTATION]
    if BRAIN in files:
        there[BRAIN] = files[BRAIN]
    return prepare_subject(there, card.channels if labelled else replace(card.channels, labels=()), frame)


def _frame(card: Card, where: str, options: ExamOptions) -> SubjectSettings:
    grid = card.grid
    axis = next((name for name, letters in ORIENTATIONS.items() if letters[1:] == grid.orientation), None)
    square = len(set(grid.shape)) == 1 and grid.spacing is not None and len(set(grid.spacing)) == 1
    if axis is None or not square or grid.spacing is None:
        raise InputError(
            f"{where}: has no square grid in millimetres, so files cannot be resampled to it; give a prepared store"
        )
    reference = card.channels.modalities[0] if options.register or options.strip else None
    steps = PreprocessingSteps(reference=reference, register=options.register, bias=options.bias, strip=options.strip)
    return SubjectSettings(grid.shape[0], grid.spacing[0] * grid.shape[0], axis, may_cut=True, steps=steps)


def _exams(card: Card, sources: Sequence[str]) -> list[tuple[str, Mapping[str, Source]]]:
    """Return exam names and their files by part."""
    if len(sources) == 1 and "=" not in sources[0]:
        if Path(sources[0]).is_file():
            raise InputError(f"{sources[0]}: is a single file; give each modality, as t1=FILE t2=FILE")
        found = find_cohort(sources[0]).subjects
        return [(subject.name, subject.files) for subject in found]
    files: dict[str, Source] = {}
    known = (*card.channels.modalities, SEGMENTATION, BRAIN)
    for text in sources:
        part, equals, path = text.partition("=")
        part = next((name for name in known if name.casefold() == part.strip().casefold()), part.strip())
        if not equals or not path:
            raise InputError(
                f"{text!r} is not of the form modality=FILE; the model has {', '.join(card.channels.modalities)}"
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
