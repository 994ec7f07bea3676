"""The parts of a subject brought onto one grid, and what in them is head or brain: of a cohort as of a single exam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.errors import SubjectRejected
from napari_pgan.imaging.io.parts import BRAIN, MASKS
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.bias import correct_bias
from napari_pgan.imaging.normalise.intensity import Foreground, find_foreground
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.registration.align import Alignment, align
from napari_pgan.imaging.registration.atlas import Atlas
from napari_pgan.imaging.registration.brain_mask import most_certain_brain, stripped_brain, volume_ml
from napari_pgan.imaging.registration.pictures import WindowedVolume, outline, write_picture

ProgressCallback = Callable[[str, int, int], None]  # what is being done, steps done, steps in all


@dataclass(frozen=True)
class PipelineResult:
    """What `preprocess` made.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` where there is one.
    foregrounds
        Modality → its head; the brain where that was asked for and found.
    reference
        The modality that the steps began with.
    alignment
        How the parts were registered; None where they were not.
    brain_mask
        Where the brain's mask comes from and how large it is; None where none was asked for.
    problems
        What went wrong and was let pass, one sentence each.
    """

    volumes: dict[str, Volume]
    foregrounds: dict[str, Foreground]
    reference: str
    alignment: Alignment | None = None
    brain_mask: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()

    @property
    def head(self) -> np.ndarray:
        """Where any modality shows head, bool."""
        found: np.ndarray = np.logical_or.reduce([found.mask for found in self.foregrounds.values()])
        return found


def preprocess(
    volumes: Mapping[str, Volume],
    steps: PreprocessingSteps,
    atlas: Atlas | None = None,
    folder: Path | None = None,
    tell: ProgressCallback = lambda what, done, tasks: None,
    *,
    lenient: bool = False,
) -> PipelineResult:
    """Correct shading, find the brain, register and resample, each as `steps` says and in that order.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` and ``"brain"`` where there are such, oriented alike; on one grid, unless they
        are registered or fitted to an atlas.
    steps
        What is done.
    atlas
        What all are brought onto.
    folder
        For pictures, and transforms of the registration; None: none are written.
    tell
        Called before each step; it may raise to end the work.
    lenient
        Let pass what only its figures call a failure, for somebody who looks at it; then `problems` says what.

    Raises
    ------
    SubjectRejected
        An image or mask is empty, no brain is found, a registration failed, marks lie outside the head.
    """
    images = {part: volume for part, volume in volumes.items() if part not in MASKS}
    reference = steps.reference or next(iter(images))
    given = volumes.get(BRAIN) if steps.strip else None
    parts = {part: volume for part, volume in volumes.items() if part != BRAIN}
    moved = steps.register or atlas is not None
    sought = steps.strip and given is None
    foregrounds = {part: _foreground(part, volume.array) for part, volume in images.items()}
    bare: dict[str, np.ndarray] = {}  # the brains of what came without its skull
    if sought:
        brains = {part: stripped_brain(volume, foregrounds[part]) for part, volume in images.items()}
        bare = {part: brain for part, brain in brains.items() if brain is not None}
        sought = reference not in bare
    tasks = len(images) * steps.bias + sought + (len(images) - 1) * steps.register + (atlas is not None)
    done = 0

    def step(what: str) -> None:
        nonlocal done
        tell(what, done, tasks)
        done += 1

    problems: list[str] = []
    if steps.bias:
        for part in images:
            step(f"Taking the shading out of {part}")
            images[part] = parts[part] = correct_bias(images[part], foregrounds[part])
    brain_mask, drawn_on = None, {}
    if given is not None:
        parts[BRAIN], brain_mask = _own_brain(given)
    elif reference in bare:  # what a template would fit there is smaller than this brain
        parts[BRAIN], brain_mask = _brain_as_it_came(bare[reference], images[reference], reference)
        drawn_on[BRAIN] = reference
    elif sought:
        at, done = done, done + 1  # one step, in however many modalities it is looked for
        try:
            parts[BRAIN], brain_mask = _found_brain(
                images, foregrounds, reference, lambda part: tell(f"Looking for the brain in {part}", at, tasks)
            )
            drawn_on[BRAIN] = brain_mask["modality"]
        except SubjectRejected as error:
            if not lenient:
                raise
            problems.append(f"{error}, so the skull stays")
    alignment = None
    if moved:
        alignment = align(
            parts,
            foregrounds,
            reference,
            folder=folder,
            aligned=not steps.register,
            atlas=atlas,
            drawn_on=drawn_on,
            smooth_labels=steps.labels == "gaussian",
            lenient=lenient,
            tell=step,
        )
        parts, foregrounds = alignment.volumes, alignment.foregrounds
        problems += alignment.problems
    brain = parts.pop(BRAIN, None)
    if brain is not None:
        mask = brain.array > 0
        if not mask.any():
            raise SubjectRejected("its brain mask is empty")
        whole = bare.keys() if reference in bare else ()  # these stay as they came
        foregrounds = {
            part: head
            if part in whole
            else Foreground(mask & head.mask if head.stripped else mask, head.background, True)
            for part, head in foregrounds.items()
        }
        if folder is not None:
            picture = outline(WindowedVolume.of(parts[reference], foregrounds[reference]), mask)
            write_picture(folder / f"{BRAIN}.png", picture)
    return PipelineResult(parts, foregrounds, reference, alignment, brain_mask, tuple(problems))


def off_grid(volumes: Mapping[str, Volume], reference: str) -> list[str]:
    """The parts that do not lie on the grid of the reference."""
    return [part for part, volume in volumes.items() if not volume.same_grid(volumes[reference])]


def _foreground(part: str, array: np.ndarray) -> Foreground:
    try:
        return find_foreground(array)
    except InputError as error:
        raise SubjectRejected(f"{part} {error}") from error


def _own_brain(given: Volume) -> tuple[Volume, dict[str, Any]]:
    """The subject's own mask, and how large it is."""
    mask = given.array > 0
    if not mask.any():
        raise SubjectRejected("its brain mask is empty")
    return Volume(mask, given.affine), {"given": True, "millilitres": volume_ml(mask, given)}


def _brain_as_it_came(mask: np.ndarray, image: Volume, part: str) -> tuple[Volume, dict[str, Any]]:
    """The foreground of a volume without skull as the brain's mask, and how large it is."""
    about = {"given": False, "stripped": True, "modality": part, "millilitres": volume_ml(mask, image)}
    return Volume(mask, image.affine), about


def _found_brain(
    images: dict[str, Volume], foregrounds: dict[str, Foreground], reference: str, tell: Callable[[str], None]
) -> tuple[Volume, dict[str, Any]]:
    """A mask that is found, and where it comes from."""
    try:
        part, brain = most_certain_brain(images, foregrounds, reference, tell)
    except InputError as error:
        raise SubjectRejected(str(error)) from error
    return Volume(brain.mask, images[part].affine), {
        "given": False,
        "stripped": False,
        "modality": part,
        "disagreement": brain.registered.disagreement,
        "millilitres": brain.millilitres,
    }
