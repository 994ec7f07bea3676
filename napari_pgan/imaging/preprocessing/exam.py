"""Preprocess one exam in memory.

The steps are those of `preprocess` for a cohort's subject, except that registrations of poor quality are kept and
reported instead of refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.exam_files import ExamVolume
from napari_pgan.imaging.io.modality_names import ATLAS, BRAIN, MASKS, SEGMENTATION, describe_part
from napari_pgan.imaging.io.segmentation import read_segmentation
from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.preprocessing.pipeline import (
    PipelineResult,
    ProgressCallback,
    no_progress,
    off_grid,
    preprocess,
)
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, label_values
from napari_pgan.imaging.registration.align import describe
from napari_pgan.imaging.registration.atlas import Atlas, atlas_of, load_atlas
from napari_pgan.imaging.registration.quality import Quality
from napari_pgan.imaging.registration.resampling import resample_image
from napari_pgan.schema import Label

_ORIENTATION = ORIENTATIONS["axial"]


@dataclass(frozen=True)
class Exam:
    """The parts of an exam as acquired.

    Parameters
    ----------
    volumes
        Modality → volume, optionally ``"seg"`` and ``"brain"``.
    labels
        Labels of the segmentation, if its file names them.
    atlas
        Target of the registration, or None.
    """

    volumes: Mapping[str, Volume]
    labels: tuple[Label, ...] = ()
    atlas: Atlas | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """Modalities, without masks."""
        return tuple(part for part in self.volumes if part not in MASKS)


@dataclass(frozen=True, kw_only=True)
class PreprocessedExam(PipelineResult):
    """An exam on the grid of its reference or of the atlas, oriented close to ``"SPL"``.

    Parameters
    ----------
    before
        The images before registration, on the same grid: placed by their headers.
    transforms
        Result of `align.describe` with the grids as acquired.
    labels
        Labels of the segmentation, if its file names them.
    atlas
        A picture of the atlas on the same grid, or None.
    """

    before: dict[str, Volume]
    transforms: dict[str, Any]
    labels: tuple[Label, ...] = ()
    atlas: Volume | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """Modalities, without the segmentation."""
        return tuple(part for part in self.volumes if part != SEGMENTATION)

    @property
    def quality(self) -> dict[str, Quality]:
        """Modality, and ``"atlas"`` if there is one → quality of its registration."""
        if self.alignment is None:
            return {}
        atlas = self.alignment.atlas
        return {**self.alignment.quality, **({ATLAS: atlas[1]} if atlas is not None else {})}


def read_exam(
    parts: Mapping[str, ExamVolume | Volume],
    progress: ProgressCallback = no_progress,
    atlas: str | Volume | None = None,
) -> Exam:
    """Read the parts of an exam that are not in memory yet.

    Parameters
    ----------
    parts
        Modality, ``"seg"`` or ``"brain"`` → volume or its source.
    progress
        Called before each file; may raise to stop.
    atlas
        Target of the registration: a volume or file of a head or brain, or ``"template"``.

    Raises
    ------
    InputError
        A file cannot be read (see `read_volume`), or the atlas holds no head.
    """
    volumes: dict[str, Volume] = {}
    labels: tuple[Label, ...] = ()
    total = len(parts) + (atlas is not None)
    for i, (part, source) in enumerate(parts.items()):
        progress(f"Reading {describe_part(part)}", i, total)
        if isinstance(source, Volume):
            volumes[part] = source
        elif part in MASKS:
            volumes[part], segments = read_segmentation(source.source)
            labels = segments if part == SEGMENTATION else labels
        else:
            volumes[part] = read_volume(source.source)
    if atlas is None:
        return Exam(volumes, labels)
    progress("Reading the atlas", len(parts), total)
    target = atlas_of(atlas, _ORIENTATION) if isinstance(atlas, Volume) else load_atlas(atlas, _ORIENTATION)
    return Exam(volumes, labels, target)


def preprocess_exam(
    exam: Exam, steps: PreprocessingSteps, progress: ProgressCallback = no_progress
) -> PreprocessedExam:
    """Preprocess an exam in the same way as `prepare_subject`.

    Parameters
    ----------
    exam
        At least one image.
    steps
        The steps. The atlas is the exam's; a brain mask of the exam implies skull stripping.
    progress
        Called before each step; may raise to stop.

    Raises
    ------
    InputError
        The exam has no image or not the reference; an image or mask is empty; grids differ and `steps` has no
        registration; the segmentation does not hold whole numbers.
    """
    images = exam.images
    if not images:
        raise InputError("the exam has no image; assign a modality to at least one volume")
    reference = steps.reference or images[0]
    if reference not in images:
        raise InputError(f"the exam has no {reference}; choose one of {', '.join(images)} as the reference")
    volumes = {part: orient(volume, _ORIENTATION) for part, volume in exam.volumes.items()}
    if SEGMENTATION in volumes:
        volumes[SEGMENTATION] = _as_uint8(volumes[SEGMENTATION])
    if not steps.register and exam.atlas is None and (different := off_grid(volumes, reference)):
        raise InputError(f"{describe_part(different[0])} is on another grid than {reference}; tick Register")
    steps = replace(steps, strip=steps.strip or BRAIN in volumes)
    result = preprocess(volumes, steps, exam.atlas, progress=progress, lenient=True)
    problems = result.problems
    if (result.brain_mask or {}).get("stripped"):
        problems += (f"{reference} has no skull, so its brain is kept as it is",)
    grids = {part: (tuple(v.array.shape), v.affine) for part, v in exam.volumes.items() if part != BRAIN}
    return PreprocessedExam(
        **{**vars(result), "problems": problems},
        before=_before(volumes, result),
        transforms=describe(reference, result.alignment.matrices if result.alignment is not None else {}, {}, grids),
        labels=exam.labels,
        atlas=exam.atlas.picture(result.foregrounds[reference].stripped) if exam.atlas is not None else None,
    )


def _before(volumes: Mapping[str, Volume], result: PipelineResult) -> dict[str, Volume]:
    """Return the images on the final grid, placed by their headers."""
    alignment, reference = result.alignment, result.reference
    images = {part: volume for part, volume in result.volumes.items() if part not in MASKS}
    if alignment is None:
        return images
    target, identity = images[reference], np.eye(4)
    before = {}
    for part in images:
        matrix = identity if part == reference else alignment.matrices[reference]
        if np.allclose(alignment.matrices[part], matrix):  # not moved
            before[part] = images[part]
        elif np.allclose(matrix, identity) and volumes[part].same_grid(target):
            before[part] = volumes[part]
        else:
            background = result.foregrounds[part].background
            before[part] = resample_image(volumes[part], matrix, target.array.shape, target.affine, background)
    return before


def _as_uint8(segmentation: Volume) -> Volume:
    values = label_values(segmentation.array)
    if values and values[-1] > 255:
        raise InputError(f"its segmentation contains the value {values[-1]}; label values go from 1 to 255")
    return Volume(segmentation.array.astype(np.uint8), segmentation.affine)
