"""Labels layers as drawings: an empty one to draw on, and what is drawn on one that there is."""

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
_AROUND = 0.05  # of the image: how far around a lesion it may change
_NEAR = 1e-3  # pixels: less than this is the model's own grid


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is drawn on a layer.

    Parameters
    ----------
    labels
        (Y, X) whole numbers, a copy.
    affine
        3×3, from its indices (y, x, 1) to indices on the model's grid; None where both cover the same field of view.
    told
        What was done to make it one slice on that grid, one sentence each.
    """

    labels: np.ndarray
    affine: np.ndarray | None
    told: tuple[str, ...] = ()


def drawing_layer(model: Model) -> LayerTuple:
    """An empty Labels layer with a model's labels on its grid, and one more label that stands for any.

    Raises
    ------
    InputError
        The model makes no segmentation, or volumes.
    """
    from napari_pgan.latent.steering import any_value

    require_slices(model)
    channels = model.card.channels
    whatever = Label(any_value(channels), "any", ANY_COLOR)
    return _empty(model, (*channels.labels, whatever), DRAWING)


def lock_layer(model: Model) -> LayerTuple:
    """An empty Labels layer on a model's grid, whose one label marks what shall stay."""
    require_slices(model)
    return _empty(model, (Label(1, "stays", LOCK_COLOR),), LOCK)


def all_but(lesions: np.ndarray) -> np.ndarray:
    """What to keep where lesions change: (Y, X) uint8, 1 everywhere but on them and a little around.

    Parameters
    ----------
    lesions
        (Y, X) bool: the present one and the one that is asked for.
    """
    around = max(2, round(_AROUND * min(lesions.shape)))
    return (~ndimage.binary_dilation(lesions, iterations=around)).astype(np.uint8)


def require_slices(model: Model) -> None:
    """Refuse a model of which nothing can be asked with a drawing."""
    if not model.card.channels.labels:
        raise InputError("This model makes no segmentation, so nothing can be asked of it; open one with labels")
    if len(model.card.grid.shape) != 2:
        raise InputError("This model makes volumes; drawings steer models of slices, so open one of those")


def drawn_on(layer: Any, grid: Grid, point: Sequence[float], displayed: Sequence[int]) -> Drawn:
    """What is drawn on a Labels layer, as one slice.

    Parameters
    ----------
    layer
        Of two dimensions, or of more, of which the shown slice is taken.
    grid
        The model's.
    point
        Where the viewer stands, in the world, an entry a dimension of the viewer.
    displayed
        The dimensions of the viewer that are shown, the two last of them vertical and horizontal.

    Raises
    ------
    InputError
        Nothing of the layer lies on the model's grid.
    """
    told: list[str] = []
    shift = len(point) - layer.ndim  # a layer has the last dimensions of the viewer
    axes = [axis - shift for axis in displayed[-2:]]
    if min(axes) < 0:
        raise InputError(f"the layer {layer.name!r} is not shown in this view; turn the view back to its axes")
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
        told.append(f"Of the {layer.ndim}-D layer the shown slice is taken ({names}).")
    affine = _affine(layer, where, axes, grid)
    if affine is None and labels.shape != grid.shape:
        told.append("The layer has other units than the model, so it is taken to cover the same field of view.")
    if affine is not None and labels.shape == grid.shape and np.abs(affine - np.eye(3)).max() < _NEAR:
        affine = None
    return Drawn(labels, affine, tuple(told))


def locked_on(layer: Any, grid: Grid, point: Sequence[float], displayed: Sequence[int]) -> np.ndarray:
    """(Y, X) bool on the model's grid: where a Labels layer has any label; as for `drawn_on`."""
    from napari_pgan.latent.steering import TargetMask

    drawn = drawn_on(layer, grid, point, displayed)
    stays = Channels(("image",), (Label(1, "stays", LOCK_COLOR),))
    return TargetMask.of((drawn.labels > 0).astype(np.uint8), stays, grid, drawn.affine).labels > 0


def _affine(layer: Any, where: np.ndarray, axes: list[int], grid: Grid) -> np.ndarray | None:
    if grid.spacing is None or any(str(layer.units[axis]) not in ("millimeter", "mm") for axis in axes):
        return None

    def world(dy: int, dx: int) -> np.ndarray:
        at = where.astype(float)
        at[axes[0]], at[axes[1]] = dy, dx
        return np.asarray(layer.data_to_world(at), float)[axes]

    zero = world(0, 0)
    middle = (np.array(grid.shape) - 1) / 2  # which lies at 0, see `layers.placement`
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
