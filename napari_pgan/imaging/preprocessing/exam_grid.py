"""Resample an exam to a model's grid, and results from there back to the grids as acquired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.modality_names import SEGMENTATION
from napari_pgan.imaging.io.volume import Volume, orient
from napari_pgan.imaging.normalise.crop import crop_around
from napari_pgan.imaging.normalise.field_of_view import choose_field_of_view, head_extent
from napari_pgan.imaging.normalise.intensity import Scaling
from napari_pgan.imaging.preprocessing.exam import PreprocessedExam
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, scale_and_crop
from napari_pgan.imaging.registration.align import back_to
from napari_pgan.schema import Grid


@dataclass(frozen=True)
class ExamOnGrid:
    """An exam on a model's grid.

    Parameters
    ----------
    images
        Modality → float32 (z, y, x), in [-1, 1] if normalised.
    labels
        uint8 (z, y, x), or None.
    grid
        Grid of three axes. For a model of slices, z are the exam's slices.
    affine
        4×4, from indices (x, y, z) to millimetres in RAS of the exam's reference.
    scalings
        Modality → intensity range; empty if not normalised.
    cut
        Share of the head outside the grid.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray | None
    grid: Grid
    affine: np.ndarray
    scalings: dict[str, Scaling]
    cut: float


def choose_grid(exam: PreprocessedExam, size: int, field_of_view: float | None, axis: str) -> Grid:
    """Make a square grid as `prepare` does; without a field of view (mm), one that holds the head."""
    if field_of_view is None:
        head = orient(exam.head, ORIENTATIONS[axis])
        field_of_view = choose_field_of_view(head_extent(head.array, head.spacing).in_plane)
    return Grid((size, size), (field_of_view / size,) * 2, ORIENTATIONS[axis][1:])


def resample_to_grid(exam: PreprocessedExam, grid: Grid, normalise: bool = True) -> ExamOnGrid:
    """Resample an exam to a grid centred on the head, as `prepare_subject` does for a store.

    Parameters
    ----------
    exam
        The exam.
    grid
        The model's grid, of two axes (for every slice of the exam) or three.
    normalise
        Scale every modality to [-1, 1] as in a store; otherwise keep the scanner's values.

    Raises
    ------
    InputError
        The grid has no spacing, or a modality contains no image.
    """
    if grid.spacing is None or grid.orientation is None:
        raise InputError("the model's grid has no spacing in millimetres, which an exam needs; choose another grid")
    orientation = grid.orientation if len(grid.shape) == 3 else _slice_axis(grid.orientation) + grid.orientation
    head = orient(exam.head, orientation)
    crop = crop_around(head.array, head.spacing, grid.shape, grid.spacing)
    images, scalings = {}, {}
    for part in exam.images:
        volume, foreground = exam.volumes[part], exam.foregrounds[part]
        array, mask = (orient(Volume(x, volume.affine), orientation).array for x in (volume.array, foreground.mask))
        if normalise:
            foreground = replace(foreground, mask=mask)
            images[part], scalings[part] = scale_and_crop(crop, part, array, foreground)
        else:
            images[part] = crop.images(array, foreground.background)
    labels = None
    if SEGMENTATION in exam.volumes:
        segmentation = orient(exam.volumes[SEGMENTATION], orientation).array
        labels = crop.labels(segmentation, np.unique(segmentation[segmentation > 0]))
    volume_grid = Grid(crop.shape, crop.spacing, orientation)
    return ExamOnGrid(images, labels, volume_grid, crop.affine(head.affine), scalings, crop.cut(head.array))


def centred_affine(grid: Grid) -> np.ndarray:
    """Return the 4×4 matrix from indices (x, y, z) of a 3D grid to mm along its axes from its centre."""
    spacing = grid.spacing or (1.0,) * len(grid.shape)
    return grid_affine(spacing, [-(n - 1) / 2 * step for n, step in zip(grid.shape, spacing, strict=True)])


def grid_affine(scale: Sequence[float], translate: Sequence[float]) -> np.ndarray:
    """Return the 4×4 matrix from indices (x, y, z) to mm; `scale` and `translate` are in array order."""
    matrix = np.diag([*scale[::-1], 1.0])
    matrix[:3, 3] = translate[::-1]
    return matrix


def patient_transforms(exam: PreprocessedExam, on_grid: ExamOnGrid) -> dict[str, Any]:
    """Return the transforms from the model's grid back to the grids as acquired, in JSON types.

    ``to_patient`` maps millimetres (x, y, z) from the grid's centre along its axes to millimetres in RAS of the
    reference; ``reference`` and ``parts`` are as `alignment.describe` gives them, with the grids as they were
    scanned; ``scaling`` says which values of a modality became −1 and 1.
    """
    return {
        **exam.transforms,
        "to_patient": (on_grid.affine @ np.linalg.inv(centred_affine(on_grid.grid))).tolist(),
        "scaling": {part: [s.low, s.high] for part, s in on_grid.scalings.items()},
    }


def resample_to_patient(
    array: np.ndarray,
    affine: np.ndarray,
    transforms: Mapping[str, Any],
    part: str,
    *,
    labels: bool,
    modality: str | None = None,
) -> Volume:
    """Resample a volume in the space of a preprocessed exam to the grid of one of its parts as acquired.

    Parameters
    ----------
    array
        (z, y, x).
    affine
        4×4, from its indices (x, y, z) to mm from the centre of the exam's grid.
    transforms
        Result of `patient_transforms`.
    part
        The part with the target grid.
    labels
        Interpolate by nearest neighbour; otherwise linearly.
    modality
        Modality of an image; if the exam normalised it, values are scaled back to the scanner's.

    Raises
    ------
    InputError
        The exam has no such part.
    """
    if part not in transforms["parts"]:
        raise InputError(f"the exam has no {part}; choose the grid of {', '.join(transforms['parts'])}")
    fill = 0.0
    if not labels:
        array = np.asarray(array, np.float32)
        fill = float(array.min()) if array.size else 0.0
        if modality in transforms["scaling"]:
            low, high = transforms["scaling"][modality]
            array = (array + 1) * np.float32((high - low) / 2) + np.float32(low)
            fill = low
    volume = Volume(array, np.array(transforms["to_patient"]) @ affine)
    return back_to(volume, transforms, part, labels=labels, fill=fill)


def _slice_axis(letters: str) -> str:
    """Return the slice direction (S, P or L) for the orientation of rows and columns."""
    return next(letter for letter, pair in {"S": "SI", "P": "PA", "L": "LR"}.items() if not set(pair) & set(letters))
