"""One exam prepared in memory: brought together, put on a model's grid, and the way back to where it was scanned.

The steps are those of a cohort's subject (`preprocess`), for somebody who looks at them: what fails by its figures is
shown and named, not refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.exam_files import ExamVolume
from napari_pgan.imaging.io.parts import ATLAS, BRAIN, MASKS, SEGMENTATION
from napari_pgan.imaging.io.segmentation import read_segmentation
from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.preprocessing.pipeline import PipelineResult, ProgressCallback, off_grid, preprocess
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, label_values
from napari_pgan.imaging.registration.align import describe
from napari_pgan.imaging.registration.atlas import Atlas, atlas_of, load_atlas
from napari_pgan.imaging.registration.quality import Quality
from napari_pgan.imaging.registration.resampling import resample_image
from napari_pgan.schema import Label

_SHOWN = ORIENTATIONS["axial"]


@dataclass(frozen=True)
class Exam:
    """The parts of an exam as they were scanned.

    Parameters
    ----------
    volumes
        Modality → volume, and ``"seg"`` and ``"brain"`` (a mask) where there are such.
    labels
        Of the segmentation, where its file names them.
    atlas
        What the exam is fitted to, or None.
    """

    volumes: Mapping[str, Volume]
    labels: tuple[Label, ...] = ()
    atlas: Atlas | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """The modalities, without what is drawn on them."""
        return tuple(part for part in self.volumes if part not in MASKS)


@dataclass(frozen=True)
class PreprocessedExam:
    """An exam on one grid, that of its reference or of the atlas.

    Parameters
    ----------
    reference
        The modality that the others were registered to.
    volumes
        Modality → volume, and ``"seg"`` where there is one; oriented near to ``"SPL"``.
    before
        The same images where their headers place them: a modality beside the reference as it is in `volumes`, the
        reference beside the atlas.
    foregrounds
        Modality → its head, or brain where that was asked for and found.
    quality
        Modality → figures of its registration to the reference, and ``"atlas"`` where that was fitted to one.
    way_back
        As `alignment.describe` gives it, with the grids as they were scanned.
    problems
        What did not go well or was left out, one sentence each.
    labels
        Of the segmentation, where its file names them.
    atlas
        A picture of the atlas, on the same grid; or None.
    """

    reference: str
    volumes: dict[str, Volume]
    before: dict[str, Volume]
    foregrounds: dict[str, Foreground]
    quality: dict[str, Quality]
    way_back: dict[str, Any]
    problems: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    atlas: Volume | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """The modalities, without the segmentation."""
        return tuple(part for part in self.volumes if part != SEGMENTATION)

    @property
    def head(self) -> Volume:
        """Where any modality shows head, bool."""
        mask = np.logical_or.reduce([found.mask for found in self.foregrounds.values()])
        return Volume(mask, self.volumes[self.reference].affine)


def read_exam(
    parts: Mapping[str, ExamVolume | Volume],
    tell: ProgressCallback = lambda what, done, tasks: None,
    atlas: str | Volume | None = None,
) -> Exam:
    """Read the parts of an exam that are not in memory yet.

    Parameters
    ----------
    parts
        Modality, ``"seg"`` or ``"brain"`` → where it is.
    tell
        Called before each; it may raise to end the work.
    atlas
        What the exam shall be fitted to: any volume of a head or brain, a file of one, or ``"template"``.

    Raises
    ------
    InputError
        A file cannot be read (see `read_volume`), or the atlas holds no head.
    """
    volumes: dict[str, Volume] = {}
    labels: tuple[Label, ...] = ()
    for i, (part, given) in enumerate(parts.items()):
        tell(f"Reading {said(part)}", i, len(parts) + (atlas is not None))
        if isinstance(given, Volume):
            volumes[part] = given
        elif part == SEGMENTATION:
            volumes[part], labels = read_segmentation(given.source)
        elif part == BRAIN:
            volumes[part], _ = read_segmentation(given.source)
        else:
            volumes[part] = read_volume(given.source)
    if atlas is None:
        return Exam(volumes, labels)
    tell("Reading the atlas", len(parts), len(parts) + 1)
    found = atlas_of(atlas, _SHOWN) if isinstance(atlas, Volume) else load_atlas(atlas, _SHOWN)
    return Exam(volumes, labels, found)


def preprocess_exam(
    exam: Exam, steps: PreprocessingSteps, tell: ProgressCallback = lambda what, done, tasks: None
) -> PreprocessedExam:
    """Correct, register and resample the parts of an exam, each as `steps` says, as `prepare_subject` does.

    Parameters
    ----------
    exam
        At least one image.
    steps
        What is done; the atlas is the exam's, and where it has a brain mask the skull is taken off with that.
    tell
        Called before each step; it may raise to end the work.

    Raises
    ------
    InputError
        There is no image or no such reference; an image or mask is empty; grids differ and no registration was asked
        for; the segmentation has no whole numbers.
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
    if not steps.register and exam.atlas is None and (apart := off_grid(volumes, reference)):
        raise InputError(f"{said(apart[0])} lies on another grid than {reference}; tick Register")
    steps = replace(steps, strip=steps.strip or BRAIN in volumes)
    made = preprocess(volumes, steps, exam.atlas, tell=tell, lenient=True)
    grids = {part: (tuple(v.array.shape), v.affine) for part, v in exam.volumes.items() if part != BRAIN}
    aligned = made.alignment
    kept = (made.brain_mask or {}).get("stripped", False)
    problems = (f"{reference} came without its skull, so its brain stays as it is",) if kept else ()
    quality = dict(aligned.quality) if aligned is not None else {}
    if aligned is not None and aligned.atlas is not None:
        quality[ATLAS] = aligned.atlas[1]
    return PreprocessedExam(
        reference,
        made.volumes,
        _before(volumes, made),
        made.foregrounds,
        quality,
        describe(reference, aligned.matrices if aligned is not None else {}, {}, grids),
        made.problems + problems,
        exam.labels,
        exam.atlas.picture(made.foregrounds[reference].stripped) if exam.atlas is not None else None,
    )


def said(part: str) -> str:
    """A part in a sentence."""
    return f"the {MASKS[part]}" if part in MASKS else part


def _before(volumes: Mapping[str, Volume], made: PipelineResult) -> dict[str, Volume]:
    """The images where their headers place them."""
    aligned, images = made.alignment, [part for part in made.volumes if part not in MASKS]
    if aligned is None:
        return {part: made.volumes[part] for part in images}
    target = made.volumes[made.reference]
    found = {}
    for part in images:
        way = np.eye(4) if part == made.reference else aligned.matrices[made.reference]
        if np.allclose(aligned.matrices[part], way):  # it stayed
            found[part] = made.volumes[part]
        elif np.allclose(way, np.eye(4)) and volumes[part].same_grid(target):
            found[part] = volumes[part]
        else:
            background = made.foregrounds[part].background
            found[part] = resample_image(volumes[part], way, target.array.shape, target.affine, background)
    return found


def _whole(segmentation: Volume) -> Volume:
    """A label map as uint8."""
    values = label_values(segmentation.array)
    if values and values[-1] > 255:
        raise InputError(f"its segmentation holds the value {values[-1]}; label values go from 1 to 255")
    return Volume(segmentation.array.astype(np.uint8), segmentation.affine)
