"""Labels layers as drawings: empty layers to draw on, and reading drawings from layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.viewer.layers import LayerTuple, labels_layer

if TYPE_CHECKING:
    from napari_pgan.model import Model

DRAWING, LOCK = "drawing", "lock"
ANY_COLOR, LOCK_COLOR = "#8c96a8", "#38b6ff"
_OPACITY = {DRAWING: 0.7, LOCK: 0.3}
_MARGIN = 0.05  # around a lesion that may change, relative to the image
_TOLERANCE = 1e-3  # pixels; a layer that is this close to the model's grid is on it


@dataclass(frozen=True, eq=False)
class DrawnSlice:
    """A slice of a layer.

    Parameters
    ----------
    labels
        (Y, X) integers, a copy.
    affine
        3×3, from indices (y, x, 1) of the slice to indices on the model's grid; None if both cover the same field of
        view.
    messages
        Sentences for the user about the conversion to a slice.
    """

    labels: np.ndarray
    affine: np.ndarray | None
    messages: tuple[str, ...] = ()


def drawing_layer(model: Model) -> LayerTuple:
    """Return an empty Labels layer on a model's grid, with its labels and one that means any label.

    Raises
    ------
    InputError
        The model generates no labels, or volumes.
    """
    from napari_pgan.latent.steering import any_value

    require_slices(model)
    channels = model.card.channels
    whatever = Label(any_value(channels), "any", ANY_COLOR)
    return _empty(model, (*channels.labels, whatever), DRAWING)


def lock_layer(model: Model) -> LayerTuple:
    """Return an empty Labels layer on a model's grid, with a single label that marks what must stay."""
    require_slices(model)
    return _empty(model, (Label(1, "stays", LOCK_COLOR),), LOCK)


def lock_mask(lesions: np.ndarray) -> np.ndarray:
    """Return the lock of everything but lesions and a margin: (Y, X) uint8, 1 where the image must stay.

    Parameters
    ----------
    lesions
        (Y, X) bool, the union of the present lesion and the target.
    """
    margin = max(2, round(_MARGIN * min(lesions.shape)))
    return (~ndimage.binary_dilation(lesions, iterations=margin)).astype(np.uint8)


def require_slices(model: Model) -> None:
    """Raise InputError for a model that drawings cannot steer."""
    if not model.card.channels.labels:
        raise InputError("This model has no segmentation, so it cannot be steered; open one with labels")
    if len(model.card.grid.shape) != 2:
        raise InputError("This model generates volumes, but a drawing steers a model of slices; open one")


def read_drawing(layer: Any, grid: Grid, point: Sequence[float], displayed: Sequence[int]) -> DrawnSlice:
    """Read the displayed slice of a Labels layer.

    Parameters
    ----------
    layer
        A layer with two or more dimensions.
    grid
        Grid of the model.
    point
        World coordinates of the displayed slice, one per dimension of the viewer.
    displayed
        Displayed dimensions of the viewer; the last two are vertical and horizontal.

    Raises
    ------
    InputError
        The view does not show a plane of the layer.
    """
    messages: list[str] = []
    shift = len(point) - layer.ndim  # a layer has the last dimensions of the viewer
    axes = [axis - shift for axis in displayed[-2:]]
    if min(axes) < 0:
        raise InputError(
            f"the layer {layer.name!r} is cut across by this view; change the order of the axes until "
            "a slice of it is shown"
        )
    where = np.round(np.asarray(layer.world_to_data(point[shift:]), float)).astype(int)
    where = np.clip(where, 0, np.array(layer.data.shape) - 1)
    index: list[Any] = [int(i) for i in where]
    for axis in axes:
        index[axis] = slice(None)
    labels = np.array(layer.data[tuple(index)])
    if axes[0] > axes[1]:
        labels = labels.T
    if layer.ndim > 2:
        others = [axis for axis in range(layer.ndim) if axis not in axes]
        names = ", ".join(f"number {where[axis]} of axis {axis}" for axis in others)
        messages.append(f"The drawing is the displayed slice of the {layer.ndim}-D layer ({names}).")
    affine = _affine(layer, where, axes, grid)
    if affine is None and labels.shape != grid.shape:
        messages.append("The layer has other units than the model; it is assumed to cover the same field of view.")
    if affine is not None and labels.shape == grid.shape and np.abs(affine - np.eye(3)).max() < _TOLERANCE:
        affine = None
    return DrawnSlice(labels, affine, tuple(messages))


def read_lock(layer: Any, grid: Grid, point: Sequence[float], displayed: Sequence[int]) -> np.ndarray:
    """Return where a Labels layer has any label, (Y, X) bool on the model's grid; see `read_drawing`."""
    from napari_pgan.latent.steering import TargetMask

    drawn = read_drawing(layer, grid, point, displayed)
    stays = Channels(("image",), (Label(1, "stays", LOCK_COLOR),))
    return TargetMask.of((drawn.labels > 0).astype(np.uint8), stays, grid, drawn.affine).labels > 0


def _affine(layer: Any, where: np.ndarray, axes: list[int], grid: Grid) -> np.ndarray | None:
    if grid.spacing is None or any(str(layer.units[axis]) not in ("millimeter", "mm") for axis in axes):
        return None

    def world(dy: int, dx: int) -> np.ndarray:
        index = where.astype(float)
        index[axes[0]], index[axes[1]] = dy, dx
        return np.asarray(layer.data_to_world(index), float)[axes]

    zero = world(0, 0)
    middle = (np.array(grid.shape) - 1) / 2  # at world coordinate 0, see `layers.placement`
    matrix = np.eye(3)
    for column, unit in enumerate(((1, 0), (0, 1))):
        matrix[:2, column] = (world(*unit) - zero) / grid.spacing
    matrix[:2, 2] = zero / grid.spacing + middle
    return matrix


def _empty(model: Model, labels: tuple[Label, ...], name: str) -> LayerTuple:
    card = model.card
    channels = Channels(card.channels.modalities, labels, card.channels.groups)
    made = {"drawn_for": card.name, "model_identity": model.identity}
    about = {"intensity": {}, "licence": card.licence, "limits": card.limits, "samples": [made]}
    data, options, kind = labels_layer(np.zeros(card.grid.shape, np.uint8), channels, card.grid, about, name=name)
    return data, {**options, "opacity": _OPACITY[name]}, kind
