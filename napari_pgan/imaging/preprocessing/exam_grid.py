"""An exam on the grid of a model, and the way from there back to where it was scanned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.parts import SEGMENTATION
from napari_pgan.imaging.io.volume import Volume, orient
from napari_pgan.imaging.normalise.crop import crop_around
from napari_pgan.imaging.normalise.field_of_view import choose_field_of_view, head_extent
from napari_pgan.imaging.normalise.intensity import Foreground, Scaling
from napari_pgan.imaging.preprocessing.exam import PreprocessedExam
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, scale_and_crop
from napari_pgan.imaging.registration.align import back_to
from napari_pgan.schema import Grid


@dataclass(frozen=True)
class ExamOnGrid:
    """An exam where a model can take it up.

    Parameters
    ----------
    images
        Modality → float32 (z, y, x), in [-1, 1] where it was normalised.
    labels
        uint8 (z, y, x), or None.
    grid
        Of the three axes. Along z a model of slices gets the exam's own slices.
    affine
        4×4, from indices (x, y, z) to millimetres in RAS of the exam's reference.
    scalings
        Modality → how it was normalised; empty where it was not.
    cut
        Share of the head that lies outside.
    """

    images: dict[str, np.ndarray]
    labels: np.ndarray | None
    grid: Grid
    affine: np.ndarray
    scalings: dict[str, Scaling]
    cut: float


def choose_grid(together: PreprocessedExam, size: int, field_of_view: float | None, axis: str) -> Grid:
    """A square grid as `prepare` makes it: of that many pixels over that many millimetres, or over the head."""
    if field_of_view is None:
        head = orient(together.head, ORIENTATIONS[axis])
        field_of_view = choose_field_of_view(head_extent(head.array, head.spacing).in_plane)
    return Grid((size, size), (field_of_view / size,) * 2, ORIENTATIONS[axis][1:])


def resample_to_grid(together: PreprocessedExam, grid: Grid, normalise: bool = True) -> ExamOnGrid:
    """Put an exam on a grid whose middle is that of the head, as `prepare_subject` does for a store.

    Parameters
    ----------
    together
        The exam.
    grid
        A model's: of two axes (every slice of the exam is brought to it) or of three.
    normalise
        Bring every modality to [-1, 1] as a store has it; else the scanner's values stay.

    Raises
    ------
    InputError
        The grid has no millimetres, or a modality holds no image.
    """
    if grid.spacing is None or grid.orientation is None:
        raise InputError(
            "the model's grid has no millimetres, so no exam can be brought to it; choose a grid of your own"
        )
    orientation = grid.orientation if len(grid.shape) == 3 else _third(grid.orientation) + grid.orientation
    head = orient(together.head, orientation)
    window = crop_around(head.array, head.spacing, grid.shape, grid.spacing)
    images, scalings = {}, {}
    for part in together.images:
        volume, found = together.volumes[part], together.foregrounds[part]
        array, mask = (orient(Volume(x, volume.affine), orientation).array for x in (volume.array, found.mask))
        if normalise:
            images[part], scalings[part] = scale_and_crop(
                window, part, array, Foreground(mask, found.background, found.stripped)
            )
        else:
            images[part] = window.images(array, found.background)
    labels = None
    if SEGMENTATION in together.volumes:
        marked = orient(together.volumes[SEGMENTATION], orientation)
        labels = window.labels(marked.array, np.unique(marked.array[marked.array > 0]))
    made = Grid(window.shape, window.spacing, orientation)
    return ExamOnGrid(images, labels, made, window.affine(head.affine), scalings, window.cut(head.array))


def centred_affine(grid: Grid) -> np.ndarray:
    """4×4 from indices (x, y, z) of a grid of three axes to millimetres along its axes, 0 in the middle."""
    spacing = grid.spacing or (1.0,) * len(grid.shape)
    return grid_affine(spacing, [-(n - 1) / 2 * step for n, step in zip(grid.shape, spacing, strict=True)])


def grid_affine(scale: Sequence[float], translate: Sequence[float]) -> np.ndarray:
    """4×4 from indices (x, y, z) to millimetres, of a scale and a place of the first voxel in array order."""
    matrix = np.diag([*list(scale)[::-1], 1.0])
    matrix[:3, 3] = list(translate)[::-1]
    return matrix


def patient_transforms(together: PreprocessedExam, made: ExamOnGrid) -> dict[str, Any]:
    """What brings anything that lies beside the exam on its grid back to a patient's own grids; for JSON.

    ``to_patient`` takes millimetres (x, y, z) from the middle of the grid along its axes to millimetres in RAS of the
    reference; ``reference`` and ``parts`` are as `alignment.describe` gives them, with the grids as they were
    scanned; ``scaling`` says which values of a modality became −1 and 1.
    """
    return {
        **together.way_back,
        "to_patient": (made.affine @ np.linalg.inv(centred_affine(made.grid))).tolist(),
        "scaling": {part: [s.low, s.high] for part, s in made.scalings.items()},
    }


def resample_to_patient(
    array: np.ndarray,
    where: np.ndarray,
    way: Mapping[str, Any],
    part: str,
    *,
    labels: bool,
    modality: str | None = None,
) -> Volume:
    """Bring a volume that lies beside a prepared exam onto the grid that one of its parts was scanned on.

    Parameters
    ----------
    array
        (z, y, x).
    where
        4×4, from its indices (x, y, z) to millimetres from the middle of the exam's grid.
    way
        From `patient_transforms`.
    part
        Whose grid it shall have.
    labels
        Keep values whole, by nearest neighbour; else values are interpolated linearly.
    modality
        What an image shows; where that is a modality of the exam that was normalised, it gets the scanner's values.

    Raises
    ------
    InputError
        The exam has no such part.
    """
    if part not in way["parts"]:
        raise InputError(f"the exam has no {part}; choose the grid of {', '.join(way['parts'])}")
    affine = np.array(way["to_patient"]) @ where
    fill = 0.0
    if not labels:
        array = np.asarray(array, np.float32)
        fill = float(array.min()) if array.size else 0.0
        if modality in way["scaling"]:
            low, high = way["scaling"][modality]
            array = (array + 1) * np.float32((high - low) / 2) + np.float32(low)
            fill = low
    return back_to(Volume(array, affine), way, part, labels=labels, fill=fill)


def _third(letters: str) -> str:
    """The direction in which slices are counted whose own axes point that way: up, to the back or to the left."""
    return next(letter for letter, pair in {"S": "SI", "P": "PA", "L": "LR"}.items() if not set(pair) & set(letters))
