"""Survey a cohort to choose the settings that all its subjects share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.brats_labels import brats_channels, infer_channels
from napari_pgan.imaging.cohorts.cohort import Cohort, CohortContent, CohortSubject
from napari_pgan.imaging.io.modality_names import BRAIN, SEGMENTATION
from napari_pgan.imaging.normalise.field_of_view import choose_field_of_view, head_extent
from napari_pgan.imaging.normalise.intensity import find_foreground
from napari_pgan.imaging.preprocessing.photographs import mask_values
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, label_values, read_parts
from napari_pgan.imaging.registration.atlas import load_atlas
from napari_pgan.schema import Channels


@dataclass(frozen=True)
class SubjectSurvey:
    """Properties of one subject."""

    name: str
    in_plane: float = 0.0  # longer side of the head in mm; of the brain if the skull is removed with a given mask
    slice_spacing: float = 0.0  # mm
    values: tuple[int, ...] = ()  # of the segmentation, without 0
    problem: str | None = None  # why the subject cannot be read; the other fields are then meaningless


def survey_subject(task: tuple[CohortSubject, str, CohortContent, PreprocessingSteps, str | None]) -> SubjectSurvey:
    """Determine the size and label values of a subject; never raises for an unreadable one.

    A task is a subject, the slice axis, the cohort's content, its preprocessing steps, and the atlas's path, if any.
    """
    subject, axis, content, steps, atlas = task
    reference = steps.reference or content.reference
    segmented = content.labels != ()
    try:
        if content.photographs:
            return SubjectSurvey(subject.name, values=mask_values(subject.files) if segmented else ())
        parts = (reference, SEGMENTATION) if segmented else (reference,)
        if steps.strip and BRAIN in subject.files:
            parts = (*parts, BRAIN)
        volumes = read_parts(subject.files, parts, ORIENTATIONS[axis], steps)
        image, brain = volumes[reference], volumes.get(BRAIN)
        head = find_foreground(image.array)
        extent, slice_spacing = head_extent(head.mask, image.spacing), image.spacing[0]
        if brain is not None and brain.array.any():  # a subject with an empty mask is rejected later
            extent = head_extent(brain.array > 0, brain.spacing)
        if atlas is not None:
            target = load_atlas(atlas, ORIENTATIONS[axis])
            extent = head_extent(target.extents[head.stripped or steps.strip], target.grid.spacing)
            slice_spacing = target.grid.spacing[0]
        values = label_values(volumes[SEGMENTATION].array) if segmented else []
    except InputError as error:
        return SubjectSurvey(subject.name, problem=str(error))
    return SubjectSurvey(subject.name, extent.in_plane, slice_spacing, tuple(values))


@dataclass(frozen=True)
class SharedSettings:
    """Settings shared by all subjects of a cohort."""

    channels: Channels
    field_of_view: float  # side of the square that contains all heads, mm; 0 for photographs
    slice_spacing: float | None  # mm; None if it differs between subjects


def choose_shared_settings(cohort: Cohort, surveys: Sequence[SubjectSurvey]) -> SharedSettings:
    """Choose channels, field of view and slice spacing from the surveys.

    Raises
    ------
    InputError
        No subject can be read.
    """
    usable = [x for x in surveys if x.problem is None]
    if not usable:
        reasons = {subject.name: subject.problem for subject in cohort.subjects if subject.problem}
        reasons |= {x.name: x.problem for x in surveys if x.problem}
        name, reason = next(iter(sorted(reasons.items())))
        raise InputError(f"none of the {len(cohort.subjects)} subjects can be used; {name}: {reason}")
    values = {x.name: x.values for x in usable}
    if cohort.content.brats:
        channels = brats_channels(values, {subject.style for subject in cohort.subjects})
    else:
        channels = infer_channels(cohort.content, values)
    if cohort.content.photographs:
        return SharedSettings(channels, 0.0, None)
    spacings = [x.slice_spacing for x in usable]
    same = max(spacings) - min(spacings) <= 0.01 * max(spacings)
    return SharedSettings(
        channels, choose_field_of_view(max(x.in_plane for x in usable)), round(spacings[0], 4) if same else None
    )
