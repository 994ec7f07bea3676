"""An exam on the grid of a model, and the way from there back to where it was scanned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.alignment import back_to
from napari_pgan.imaging.exam import Together
from napari_pgan.imaging.fieldofview import (
    choose_field_of_view,
    head_extent,
    pixel_weights,
    resample,
    resample_labels,
    window_start,
)
from napari_pgan.imaging.intensity import Foreground, Scaling, scale
from napari_pgan.imaging.names import SEGMENTATION
from napari_pgan.imaging.resampling import resample_labels as nearest
from napari_pgan.imaging.subject import ORIENTATIONS
from napari_pgan.imaging.volume import Volume, orient
from napari_pgan.spec import Grid


@dataclass(frozen=True)
class OnGrid:
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


def grid_of(together: Together, size: int, field_of_view: float | None, axis: str) -> Grid:
    """A square grid as `prepare` makes it: of that many pixels over that many millimetres, or over the head."""
    if field_of_view is None:
        head = orient(together.head, ORIENTATIONS[axis])
        field_of_view = choose_field_of_view(head_extent(head.array, head.spacing).in_plane)
    return Grid((size, size), (field_of_view / size,) * 2, ORIENTATIONS[axis][1:])


def on_grid(together: Together, grid: Grid, normalise: bool = True) -> OnGrid:
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
    extent = head_extent(head.array, head.spacing)
    shape = grid.shape if len(grid.shape) == 3 else (head.array.shape[0], *grid.shape)
    steps = [s / own for s, own in zip(grid.spacing, head.spacing[-len(grid.shape) :], strict=True)]
    starts = [
        window_start(*bounds, own, n * s)
        for bounds, own, n, s in zip(
            extent.bounds[-len(steps) :], head.spacing[-len(steps) :], grid.shape, grid.spacing, strict=True
        )
    ]
    if len(steps) == 2:
        steps, starts = [1.0, *steps], [0.0, *starts]
    weights = [
        pixel_weights(have, start, n * step, n)
        for have, start, n, step in zip(head.array.shape, starts, shape, steps, strict=True)
    ]
    images, scalings = {}, {}
    for part in together.images:
        volume, found = together.volumes[part], together.foregrounds[part]
        found = Foreground(
            orient(Volume(found.mask, volume.affine), orientation).array, found.background, found.stripped
        )
        array, low = orient(volume, orientation).array, found.background
        if normalise:
            array, scalings[part], low = *_scaled(part, array, found), -1.0
        images[part] = _averaged(array, low, weights)
        if normalise:
            np.clip(images[part], -1, 1, out=images[part])
    spacing = tuple(float(own * step) for own, step in zip(head.spacing, steps, strict=True))
    affine = head.affine @ _change(starts, steps)
    labels = None
    if SEGMENTATION in together.volumes:
        marked = orient(together.volumes[SEGMENTATION], orientation)
        values = np.unique(marked.array[marked.array > 0])
        if len(grid.shape) == 2:
            labels = resample_labels(marked.array, values, weights[1], weights[2])
        else:
            labels = nearest(marked, np.eye(4), shape, affine).array
    inside = np.einsum("zyx,z,y,x->", head.array.astype(np.float32), *(_within(w) for w in weights), optimize=True)
    cut = float(max(0.0, 1 - inside / head.array.sum()))
    return OnGrid(images, labels, Grid(shape, spacing, orientation), affine, scalings, cut)


def centred(grid: Grid) -> np.ndarray:
    """4×4 from indices (x, y, z) of a grid of three axes to millimetres along its axes, 0 in the middle."""
    spacing = grid.spacing or (1.0,) * len(grid.shape)
    return placed(spacing, [-(n - 1) / 2 * step for n, step in zip(grid.shape, spacing, strict=True)])


def placed(scale: Sequence[float], translate: Sequence[float]) -> np.ndarray:
    """4×4 from indices (x, y, z) to millimetres, of a scale and a place of the first voxel in array order."""
    matrix = np.diag([*list(scale)[::-1], 1.0])
    matrix[:3, 3] = list(translate)[::-1]
    return matrix


def way_to_patient(together: Together, made: OnGrid) -> dict[str, Any]:
    """What brings anything that lies beside the exam on its grid back to a patient's own grids; for JSON.

    ``to_patient`` takes millimetres (x, y, z) counted from the middle of the grid along its axes to millimetres in RAS
    of the reference; ``reference`` and ``parts`` are as `alignment.describe` gives them, with the grids as they were
    scanned; ``scaling`` says which values of a modality became −1 and 1.
    """
    return {
        **together.way_back,
        "to_patient": (made.affine @ np.linalg.inv(centred(made.grid))).tolist(),
        "scaling": {part: [s.low, s.high] for part, s in made.scalings.items()},
    }


def to_patient(
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
        From `way_to_patient`.
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


def _scaled(part: str, array: np.ndarray, found: Foreground) -> tuple[np.ndarray, Scaling]:
    try:
        return scale(array, found)
    except InputError as error:
        raise InputError(f"{part} {error}") from error


def _averaged(array: np.ndarray, background: float, weights: list[np.ndarray]) -> np.ndarray:
    """Area averages; what lies outside the volume is background."""
    depth, rows, columns = weights
    averaged = resample(array.astype(np.float32) - np.float32(background), rows, columns)
    if len(depth) != len(array) or not np.array_equal(depth, np.eye(len(array))):
        averaged = np.asarray(np.tensordot(depth, averaged, axes=1))
    averaged += np.float32(background)
    return averaged


def _within(weights: np.ndarray) -> np.ndarray:
    """Which voxels along an axis have a part in a pixel."""
    return np.asarray(weights.any(axis=0), np.float32)


def _change(starts: list[float], steps: list[float]) -> np.ndarray:
    """From indices (x, y, z) of pixels to those of voxels."""
    change = np.eye(4)
    for column, (start, step) in enumerate(zip(starts[::-1], steps[::-1], strict=True)):
        change[column, column], change[column, 3] = step, start + step / 2 - 0.5
    return change
