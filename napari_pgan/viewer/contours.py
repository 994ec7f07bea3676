"""What was asked for, as thin lines over every picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.viewer.display import Display, real
from napari_pgan.viewer.drawing import ANY_COLOR
from napari_pgan.viewer.layers import METADATA_KEY, SEGMENTATION, LayerTuple, labels_layer

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetMask

_FINE = 128  # pixels a side, or more: lines of a small model's own pixels would hide what they go around
_PREFIX = "asked for, on "


def outlines(labels: np.ndarray, finer: int = 1) -> np.ndarray:
    """The edges of label regions, one pixel wide on a finer grid.

    Parameters
    ----------
    labels
        (Y, X), 0 for background.
    finer
        How many pixels along an axis one becomes.

    Returns
    -------
    numpy.ndarray
        (Y · finer, X · finer), the label at the edge of its region, else 0.
    """
    fine = labels.repeat(finer, 0).repeat(finer, 1)
    padded = np.pad(fine, 1)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.where(np.any([side != fine for side in around], axis=0), fine, 0)


def contour_layers(wish: TargetMask, grid: Grid) -> list[LayerTuple]:
    """A Labels layer of outlines for each picture that a model makes, the segmentation last.

    Parameters
    ----------
    wish
        What was asked for.
    grid
        The model's.
    """
    from napari_pgan.latent.steering import any_value

    channels = wish.channels
    whatever = any_value(channels)
    finer = max(1, round(_FINE / min(grid.shape)))
    asked = outlines(np.where(wish.open, whatever, wish.labels).astype(np.uint8), finer)
    named = Channels(channels.modalities, (*channels.labels, Label(whatever, "any", ANY_COLOR)), channels.groups)
    fine = grid.at_size(asked.shape)
    layers = []
    for name in (*(group.name for group in channels.groups), SEGMENTATION):
        data, options, kind = labels_layer(asked, named, fine, {"samples": [{}]}, name=_PREFIX + name)
        options["metadata"][METADATA_KEY]["slot"] = _PREFIX + name
        layers.append((data, {**options, "opacity": 1.0}, kind))
    return layers


class Contours:
    """The layers of outlines in a viewer."""

    def __init__(self) -> None:
        self._display = Display()

    def steps(self, viewer: Any, wish: TargetMask, grid: Grid) -> Iterator[None]:
        """Show what was asked for, as `Display.steps` does; the layer that is selected stays so."""
        viewer = real(viewer)
        chosen = set(viewer.layers.selection)
        for _ in self._display.steps(viewer, contour_layers(wish, grid), live=True):
            yield
            viewer.layers.selection = chosen & set(viewer.layers)
        viewer.layers.selection = chosen & set(viewer.layers)

    def arrange(self, viewer: Any, pictures: list[Any], top: list[Any]) -> None:
        """In napari's grid: each picture with its outlines in a cell, then what is drawn; else what is drawn on top.

        Parameters
        ----------
        viewer
            A napari viewer.
        pictures
            The layers of a sample.
        top
            The drawing, and what else goes with it.
        """
        viewer = real(viewer)
        lines = self._display.layers(viewer)
        pairs = [layer for pair in zip(pictures, lines, strict=False) for layer in pair]
        ours = [*pairs, *(layer for layer in top if layer in viewer.layers)]
        others = [layer for layer in viewer.layers if layer not in ours]
        grid = viewer.canvas.grid
        paired = bool(lines) and len(lines) == len(pictures)
        wanted = [*ours, *others] if grid.enabled and paired else [*others, *ours]
        for place, layer in enumerate(wanted):
            present = viewer.layers.index(layer)
            if present != place:
                viewer.layers.move(present, place)
        stride = 2 if paired else 1
        if grid.stride != stride:
            grid.stride = stride
            viewer.reset_view()

    def remove(self, viewer: Any) -> None:
        """Take the outlines away."""
        viewer = real(viewer)
        layers = self._display.layers(viewer)
        for layer in layers:
            viewer.layers.remove(layer)
        if layers:
            viewer.canvas.grid.stride = 1

    def layers(self, viewer: Any) -> list[Any]:
        """The layers of outlines that are there."""
        return self._display.layers(viewer)
