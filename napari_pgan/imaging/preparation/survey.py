"""A first look at a cohort, to choose what all its subjects will share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.brats_labels import brats_channels, infer_channels
from napari_pgan.imaging.cohorts.cohort import Cohort, CohortContent, CohortSubject
from napari_pgan.imaging.io.parts import BRAIN, SEGMENTATION
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.field_of_view import choose_field_of_view, head_extent
from napari_pgan.imaging.normalise.intensity import find_foreground
from napari_pgan.imaging.preprocessing.photographs import mask_values
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, label_values, read_parts
from napari_pgan.imaging.registration.atlas import load_atlas
from napari_pgan.schema import Channels


@dataclass(frozen=True)
class Look:
    """What a first look at a subject showed.

    Parameters
    ----------
    name
        The subject.
    in_plane
        Millimetres of the longer side of its head in the slices' plane; of its brain where a mask of its own says which
        that is and the skull goes.
    slice_spacing
        Millimetres between slices.
    values
        Of its segmentation, without 0.
    problem
        Why it could not be looked at; the other fields then mean nothing.
    """

    name: str
    in_plane: float = 0.0
    slice_spacing: float = 0.0
    values: tuple[int, ...] = ()
    problem: str | None = None


def look(task: tuple[CohortSubject, str, CohortContent, PreprocessingSteps, str | None]) -> Look:
    """Read what says how large a subject is, and its segmentation; never raises for a bad one.

    Parameters
    ----------
    task
        The subject, the axis that slices are taken along, what every subject of the cohort has, the steps to come, and
        where the atlas lies, if there is one.
    """
    subject, axis, content, steps, atlas = task
    reference = steps.reference or content.reference
    segmented = content.labels != ()
    try:
        if content.photographs:
            return Look(subject.name, values=mask_values(subject.files) if segmented else ())
        parts = (reference, SEGMENTATION) if segmented else (reference,)
        if steps.strip and BRAIN in subject.files:
            parts = (*parts, BRAIN)
        volumes = read_parts(subject.files, parts, ORIENTATIONS[axis], steps)
        image, brain = volumes[reference], volumes.get(BRAIN)
        head = find_foreground(image.array)
        kept = Volume(head.mask, image.affine)
        if brain is not None and brain.array.any():  # the skull goes; a subject with an empty mask is set aside later
            kept = Volume(brain.array > 0, brain.affine)
        extent, slice_spacing = head_extent(kept.array, kept.spacing), image.spacing[0]
        if atlas is not None:
            onto = load_atlas(atlas, ORIENTATIONS[axis])
            extent = head_extent(onto.extents[head.stripped or steps.strip], onto.grid.spacing)
            slice_spacing = onto.grid.spacing[0]
        values = label_values(volumes[SEGMENTATION].array) if segmented else []
    except InputError as error:
        return Look(subject.name, problem=str(error))
    return Look(subject.name, extent.in_plane, slice_spacing, tuple(values))


@dataclass(frozen=True)
class Shared:
    """What all subjects of a cohort will share.

    Parameters
    ----------
    channels
        Modalities and labels.
    field_of_view
        Millimetres of the square that holds every head; 0 for photographs.
    slice_spacing
        Millimetres between slices, or None when subjects differ.
    """

    channels: Channels
    field_of_view: float
    slice_spacing: float | None


def choose_shared_settings(cohort: Cohort, looks: Sequence[Look]) -> Shared:
    """Choose from what the looks showed.

    Raises
    ------
    InputError
        None of the subjects could be looked at.
    """
    good = [x for x in looks if x.problem is None]
    if not good:
        reasons = {subject.name: subject.problem for subject in cohort.subjects if subject.problem}
        reasons |= {x.name: x.problem for x in looks if x.problem}
        name, reason = next(iter(sorted(reasons.items())))
        raise InputError(f"none of the {len(cohort.subjects)} subjects can be used; {name}: {reason}")
    values = {x.name: x.values for x in good}
    if cohort.content.brats:
        channels = brats_channels(values, {subject.style for subject in cohort.subjects})
    else:
        channels = infer_channels(cohort.content, values)
    if cohort.content.photographs:
        return Shared(channels, 0.0, None)
    spacings = [x.slice_spacing for x in good]
    same = max(spacings) - min(spacings) <= 0.01 * max(spacings)
    return Shared(
        channels, choose_field_of_view(max(x.in_plane for x in good)), round(spacings[0], 4) if same else None
    )
