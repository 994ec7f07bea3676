"""Preprocess the parts of one subject to a common grid, for cohorts and single exams alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.errors import SubjectRejected, naming
from napari_pgan.imaging.io.modality_names import BRAIN, MASKS
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.bias import correct_bias
from napari_pgan.imaging.normalise.intensity import Foreground, find_foreground
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.registration.align import Alignment, align
from napari_pgan.imaging.registration.atlas import Atlas
from napari_pgan.imaging.registration.brain_mask import most_certain_brain, stripped_brain, volume_ml
from napari_pgan.imaging.registration.pictures import WindowedVolume, outline, write_picture

ProgressCallback = Callable[[str, int, int], None]  # description, steps done, total steps


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class PipelineResult:
    """Parts of a subject on one grid.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` if there is one.
    foregrounds
        Modality → head, or brain after skull stripping.
    reference
        The reference modality.
    alignment
        Result of the registration, or None.
    brain_mask
        Source and volume of the brain mask, or None.
    problems
        Tolerated failures, one sentence each.
    """

    volumes: dict[str, Volume]
    foregrounds: dict[str, Foreground]
    reference: str
    alignment: Alignment | None = None
    brain_mask: dict[str, Any] | None = None
    problems: tuple[str, ...] = ()

    @property
    def head(self) -> Volume:
        """Union of the foregrounds, bool."""
        mask = np.logical_or.reduce([foreground.mask for foreground in self.foregrounds.values()])
        return Volume(mask, self.volumes[self.reference].affine)


def preprocess(
    volumes: Mapping[str, Volume],
    steps: PreprocessingSteps,
    atlas: Atlas | None = None,
    folder: Path | None = None,
    progress: ProgressCallback = no_progress,
    *,
    lenient: bool = False,
) -> PipelineResult:
    """Correct the bias field, find the brain, register and resample, as `steps` says.

    Parameters
    ----------
    volumes
        Modality → volume, optionally ``"seg"`` and ``"brain"``, in one orientation; on one grid unless they are
        registered or there is an atlas.
    steps
        The steps.
    atlas
        Target of the registration.
    folder
        For pictures and transforms; None: none are written.
    progress
        Called before each step; may raise to stop.
    lenient
        Report failures that only quality metrics detect in `problems` instead of raising.

    Raises
    ------
    SubjectRejected
        An image or mask is empty, no brain is found, a registration failed, or a mask lies outside the head.
    """
    images = {part: volume for part, volume in volumes.items() if part not in MASKS}
    reference = steps.reference or next(iter(images))
    given = volumes.get(BRAIN) if steps.strip else None
    parts = {part: volume for part, volume in volumes.items() if part != BRAIN}
    foregrounds: dict[str, Foreground] = {}
    for part, volume in images.items():
        with naming(part):
            foregrounds[part] = find_foreground(volume.array)
    stripped: dict[str, np.ndarray] = {}  # brain masks of modalities that came without skull
    if steps.strip and given is None:
        masks = {part: stripped_brain(volume, foregrounds[part]) for part, volume in images.items()}
        stripped = {part: mask for part, mask in masks.items() if mask is not None}
    search = steps.strip and given is None and reference not in stripped
    total = len(images) * steps.bias + search + (len(images) - 1) * steps.register + (atlas is not None)
    done = 0

    def step(what: str) -> None:
        nonlocal done
        progress(what, done, total)
        done += 1

    problems: list[str] = []
    if steps.bias:
        for part in images:
            step(f"Correcting the bias field of {part}")
            images[part] = parts[part] = correct_bias(images[part], foregrounds[part])
    about: dict[str, Any] | None = None
    if given is not None:
        parts[BRAIN] = Volume(_not_empty(given), given.affine)
        about = {"given": True, "millilitres": volume_ml(parts[BRAIN].array, given)}
    elif reference in stripped:  # a template would fit a smaller brain here
        mask, image = stripped[reference], images[reference]
        parts[BRAIN] = Volume(mask, image.affine)
        about = {"given": False, "stripped": True, "modality": reference, "millilitres": volume_ml(mask, image)}
    elif search:
        at, done = done, done + 1  # a single step, whatever the number of modalities
        try:
            part, brain = most_certain_brain(
                images, foregrounds, reference, lambda part: progress(f"Looking for the brain in {part}", at, total)
            )
        except InputError as error:
            if not lenient:
                raise SubjectRejected(str(error)) from error
            problems.append(f"{error}, so the skull stays")
        else:
            parts[BRAIN] = Volume(brain.mask, images[part].affine)
            about = {
                "given": False,
                "stripped": False,
                "modality": part,
                "disagreement": brain.registered.disagreement,
                "millilitres": brain.millilitres,
            }
    alignment = None
    if steps.register or atlas is not None:
        alignment = align(
            parts,
            foregrounds,
            reference,
            folder=folder,
            aligned=not steps.register,
            atlas=atlas,
            drawn_on={BRAIN: about["modality"]} if about and "modality" in about else {},
            smooth_labels=steps.labels == "gaussian",
            lenient=lenient,
            notify=step,
        )
        parts, foregrounds = alignment.volumes, alignment.foregrounds
        problems += alignment.problems
    if (resampled := parts.pop(BRAIN, None)) is not None:
        mask = _not_empty(resampled)
        unchanged = stripped if reference in stripped else ()
        foregrounds = {
            part: head
            if part in unchanged
            else Foreground(mask & head.mask if head.stripped else mask, head.background, True)
            for part, head in foregrounds.items()
        }
        if folder is not None:
            picture = outline(WindowedVolume.of(parts[reference], foregrounds[reference]), mask)
            write_picture(folder / f"{BRAIN}.png", picture)
    return PipelineResult(parts, foregrounds, reference, alignment, about, tuple(problems))


def off_grid(volumes: Mapping[str, Volume], reference: str) -> list[str]:
    """Return the parts that are not on the grid of the reference."""
    return [part for part, volume in volumes.items() if not volume.same_grid(volumes[reference])]


def _not_empty(brain: Volume) -> np.ndarray:
    mask: np.ndarray = brain.array > 0
    if not mask.any():
        raise SubjectRejected("its brain mask is empty")
    return mask
