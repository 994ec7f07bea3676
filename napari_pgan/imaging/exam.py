"""One exam prepared in memory: brought together, put on a model's grid, and the way back to where it was scanned.

A cohort's subjects go through `subject.prepare_subject` into a store. Here the same steps are taken one by one, for
somebody who looks at them: a registration that fails by its figures is shown and named, not refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.alignment import align, describe
from napari_pgan.imaging.aside import SetAside
from napari_pgan.imaging.bias import correct_bias
from napari_pgan.imaging.brainmask import surest_brain
from napari_pgan.imaging.examfiles import FoundVolume
from napari_pgan.imaging.intensity import Foreground, find_foreground
from napari_pgan.imaging.names import SEGMENTATION
from napari_pgan.imaging.quality import Quality
from napari_pgan.imaging.resampling import resample_image, resample_labels
from napari_pgan.imaging.segmentation import read_segmentation
from napari_pgan.imaging.subject import label_values
from napari_pgan.imaging.volume import Volume, orient, read_volume
from napari_pgan.spec import Label

Told = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
_SHOWN = "SPL"


@dataclass(frozen=True)
class Exam:
    """The parts of an exam as they were scanned.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` where there is a segmentation.
    labels
        Of the segmentation, where its file names them.
    """

    volumes: Mapping[str, Volume]
    labels: tuple[Label, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The modalities, without the segmentation."""
        return tuple(part for part in self.volumes if part != SEGMENTATION)


@dataclass(frozen=True)
class ExamSteps:
    """What is done to an exam before it goes to a grid.

    Parameters
    ----------
    reference
        The modality whose grid the exam gets, and in which the brain is looked for; None: the first.
    register
        Register the others to it; otherwise all must lie on its grid.
    bias
        Correct the coil's shading.
    strip
        Take the brain out of the head.
    """

    reference: str | None = None
    register: bool = False
    bias: bool = False
    strip: bool = False


@dataclass(frozen=True)
class Together:
    """An exam on the grid of its reference.

    Parameters
    ----------
    reference
        The modality whose grid it is.
    volumes
        Modality → volume, and ``"seg"`` where there is one; oriented near to ``"SPL"``.
    before
        The modalities where their headers place them, on the same grid.
    foregrounds
        Modality → its head, or brain where that was asked for and found.
    quality
        Modality → figures of its registration; the reference has none.
    way_back
        As `alignment.describe` gives it, with the grids as they were scanned.
    problems
        What did not go well, one sentence each.
    labels
        Of the segmentation, where its file names them.
    """

    reference: str
    volumes: dict[str, Volume]
    before: dict[str, Volume]
    foregrounds: dict[str, Foreground]
    quality: dict[str, Quality]
    way_back: dict[str, Any]
    problems: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """The modalities, without the segmentation."""
        return tuple(part for part in self.volumes if part != SEGMENTATION)

    @property
    def head(self) -> Volume:
        """Where any modality shows head, bool."""
        mask = np.logical_or.reduce([found.mask for found in self.foregrounds.values()])
        return Volume(mask, self.volumes[self.reference].affine)


def read_exam(parts: Mapping[str, FoundVolume | Volume], tell: Told = lambda what, done, all: None) -> Exam:
    """Read the parts of an exam that are not in memory yet.

    Raises
    ------
    InputError
        A file cannot be read (see `read_volume`).
    """
    volumes: dict[str, Volume] = {}
    labels: tuple[Label, ...] = ()
    for i, (part, given) in enumerate(parts.items()):
        tell(f"Reading {said(part)}", i, len(parts))
        if isinstance(given, Volume):
            volumes[part] = given
        elif part == SEGMENTATION:
            volumes[part], labels = read_segmentation(given.source)
        else:
            volumes[part] = read_volume(given.source)
    return Exam(volumes, labels)


def bring_together(exam: Exam, steps: ExamSteps, tell: Told = lambda what, done, all: None) -> Together:
    """Correct, register and resample the parts of an exam, each as `steps` says.

    Parameters
    ----------
    exam
        At least one image.
    steps
        What is done.
    tell
        Called before each step; it may raise to end the work.

    Raises
    ------
    InputError
        There is no image or no such reference; an image is empty; grids differ and no registration was asked for; the
        segmentation has no whole numbers or lies outside the head.
    """
    images = exam.images
    if not images:
        raise InputError("no image is among the parts; say of one at least which modality it is")
    reference = steps.reference or images[0]
    if reference not in images:
        raise InputError(f"there is no {reference} in this exam; choose one of {', '.join(images)} as the reference")
    volumes = {part: orient(volume, _SHOWN) for part, volume in exam.volumes.items()}
    if SEGMENTATION in volumes:
        volumes[SEGMENTATION] = _whole(volumes[SEGMENTATION])
    others = [part for part in images if part != reference]
    tasks = len(images) * steps.bias + len(others) * steps.register + steps.strip
    done = 0

    def step(what: str) -> None:
        nonlocal done
        tell(what, done, tasks)
        done += 1

    foregrounds = {part: _foreground(part, volumes[part]) for part in images}
    if steps.bias:
        for part in images:
            step(f"Taking the shading out of {part}")
            volumes[part] = correct_bias(volumes[part], foregrounds[part])
    if not steps.register:
        together = _as_they_lie(exam, volumes, foregrounds, reference)
    else:
        together = _registered(exam, volumes, foregrounds, reference, others, step)
    if steps.strip:
        step(f"Looking for the brain in {reference}")
        together = _stripped(together)
    return together


def said(part: str) -> str:
    """A part in a sentence."""
    return "the segmentation" if part == SEGMENTATION else part


def _as_they_lie(
    exam: Exam, volumes: dict[str, Volume], foregrounds: dict[str, Foreground], reference: str
) -> Together:
    if apart := [part for part, volume in volumes.items() if not volume.same_grid(volumes[reference])]:
        raise InputError(f"{said(apart[0])} lies on another grid than {reference}; tick Register")
    back = describe(reference, {}, {}, _grids(exam))
    before = {part: volume for part, volume in volumes.items() if part != SEGMENTATION}
    return Together(reference, volumes, before, foregrounds, {}, back, labels=exam.labels)


def _registered(
    exam: Exam,
    volumes: dict[str, Volume],
    foregrounds: dict[str, Foreground],
    reference: str,
    others: list[str],
    step: Callable[[str], None],
) -> Together:
    """One modality after the other, so that whoever waits sees how far it is and may stop."""
    fixed = volumes[reference]
    shape, affine = fixed.array.shape, fixed.affine
    there, heads = {reference: fixed}, {reference: foregrounds[reference]}
    matrices, quality, before, problems = {reference: np.eye(4)}, {}, {reference: fixed}, []
    home = _home(volumes, reference)
    if home == reference and SEGMENTATION in volumes:
        made = align({reference: fixed, SEGMENTATION: volumes[SEGMENTATION]}, heads, reference)
        there[SEGMENTATION], matrices[SEGMENTATION] = made.volumes[SEGMENTATION], np.eye(4)
    for part in others:
        step(f"Registering {part} to {reference}")
        volume, head = volumes[part], foregrounds[part]
        try:
            made = align({reference: fixed, part: volume}, foregrounds, reference)
            matrices[part], quality[part] = made.matrices[part], made.quality[part]
            there[part], heads[part] = made.volumes[part], made.foregrounds[part]
        except SetAside as error:
            if error.figures is None:  # nothing was found that one could look at
                raise
            problems.append(str(error))
            found = error.figures["parts"][part]
            matrices[part], quality[part] = np.array(found["matrix"]), Quality.from_dict(found["quality"])
            there[part] = resample_image(volume, matrices[part], shape, affine, head.background)
            mask = resample_labels(Volume(head.mask, volume.affine), matrices[part], shape, affine)
            heads[part] = Foreground(mask.array, head.background, head.stripped)
        lies = volume.same_grid(fixed)
        before[part] = volume if lies else resample_image(volume, np.eye(4), shape, affine, head.background)
        if part == home:
            marked = volumes[SEGMENTATION]
            stays = there[part] is volume
            there[SEGMENTATION] = marked if stays else resample_labels(marked, matrices[part], shape, affine)
            matrices[SEGMENTATION] = matrices[part]
    back = describe(reference, matrices, {}, _grids(exam))
    order = {part: there[part] for part in exam.volumes}
    return Together(reference, order, before, heads, quality, back, tuple(problems), exam.labels)


def _home(volumes: Mapping[str, Volume], reference: str) -> str:
    """The modality that the segmentation was drawn on: the reference, unless it has the grid of another."""
    marked = volumes.get(SEGMENTATION)
    if marked is None or marked.same_grid(volumes[reference]):
        return reference
    return next((part for part, v in volumes.items() if part != SEGMENTATION and marked.same_grid(v)), reference)


def _stripped(together: Together) -> Together:
    """With foregrounds of brain alone, where one is found; else the skull stays, and that is said."""
    volumes = {part: together.volumes[part] for part in together.images}
    try:
        mask = surest_brain(volumes, together.foregrounds, together.reference)[1].mask
    except InputError as error:
        return replace(together, problems=(*together.problems, f"{error}, so the skull stays"))
    brains = {
        name: Foreground(mask & head.mask if head.stripped else mask, head.background, True)
        for name, head in together.foregrounds.items()
    }
    return replace(together, foregrounds=brains)


def _grids(exam: Exam) -> dict[str, tuple[tuple[int, ...], np.ndarray]]:
    return {part: (tuple(volume.array.shape), volume.affine) for part, volume in exam.volumes.items()}


def _foreground(part: str, volume: Volume) -> Foreground:
    try:
        return find_foreground(volume.array)
    except InputError as error:
        raise InputError(f"{part} {error}") from error


def _whole(segmentation: Volume) -> Volume:
    """A label map as uint8."""
    values = label_values(segmentation.array)
    if values and values[-1] > 255:
        raise InputError(f"its segmentation holds the value {values[-1]}; label values go from 1 to 255")
    return Volume(segmentation.array.astype(np.uint8), segmentation.affine)
