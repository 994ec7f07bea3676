"""Outlines of the target over every picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.viewer.display import Display, unwrapped
from napari_pgan.viewer.drawing import ANY_COLOR
from napari_pgan.viewer.layers import METADATA_KEY, SEGMENTATION, LayerTuple, labels_layer

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetMask

_MIN_SIZE = 128  # pixels per side; outlines in the pixels of a small model would hide the image
_PREFIX = "asked for, on "


def outlines(labels: np.ndarray, finer: int = 1) -> np.ndarray:
    """Return the edges of label regions, one pixel wide on a finer grid.

    Parameters
    ----------
    labels
        (Y, X), 0 for background.
    finer
        Upsampling factor.

    Returns
    -------
    numpy.ndarray
        (Y · finer, X · finer), the label at the edge of its region, 0 elsewhere.
    """
    fine = labels.repeat(finer, 0).repeat(finer, 1)
    padded = np.pad(fine, 1)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.where(np.any([side != fine for side in around], axis=0), fine, 0)


def contour_layers(target: TargetMask, grid: Grid) -> list[LayerTuple]:
    """Return a Labels layer of outlines for each picture of a model, the segmentation last.

    Parameters
    ----------
    target
        The target.
    grid
        Grid of the model.
    """
    from napari_pgan.latent.steering import any_value

    channels = target.channels
    whatever = any_value(channels)
    finer = max(1, round(_MIN_SIZE / min(grid.shape)))
    lines = outlines(np.where(target.open, whatever, target.labels).astype(np.uint8), finer)
    named = Channels(channels.modalities, (*channels.labels, Label(whatever, "any", ANY_COLOR)), channels.groups)
    fine = grid.at_size(lines.shape)
    layers = []
    for name in (*(group.name for group in channels.groups), SEGMENTATION):
        data, options, kind = labels_layer(lines, named, fine, {"samples": [{}]}, name=_PREFIX + name)
        options["metadata"][METADATA_KEY]["slot"] = _PREFIX + name
        layers.append((data, {**options, "opacity": 1.0}, kind))
    return layers


class Contours:
    """Layers of outlines in a viewer."""

    def __init__(self) -> None:
        self._display = Display()

    def steps(self, viewer: Any, target: TargetMask, grid: Grid) -> Iterator[None]:
        """Show the target, as `Display.steps` does, and keep the selected layers."""
        viewer = unwrapped(viewer)
        chosen = set(viewer.layers.selection)
        for _ in self._display.steps(viewer, contour_layers(target, grid), live=True):
            yield
            viewer.layers.selection = chosen & set(viewer.layers)
        viewer.layers.selection = chosen & set(viewer.layers)

    def arrange(self, viewer: Any, pictures: list[Any], top: list[Any]) -> None:
        """Order the layers: in napari's grid pairs of picture and outlines, then the drawing; else the drawing on top.

        Parameters
        ----------
        viewer
            A napari viewer.
        pictures
            Layers of a sample.
        top
            Drawing layers.
        """
        viewer = unwrapped(viewer)
        lines = self._display.layers(viewer)
        pairs = [layer for pair in zip(pictures, lines, strict=False) for layer in pair]
        ours = [*pairs, *(layer for layer in top if layer in viewer.layers)]
        others = [layer for layer in viewer.layers if layer not in ours]
        grid = viewer.canvas.grid
        paired = bool(lines) and len(lines) == len(pictures)
        wanted = [*ours, *others] if grid.enabled and paired else [*others, *ours]
        for index, layer in enumerate(wanted):
            present = viewer.layers.index(layer)
            if present != index:
                viewer.layers.move(present, index)
        stride = 2 if paired else 1
        if grid.stride != stride:
            grid.stride = stride
            viewer.reset_view()

    def remove(self, viewer: Any) -> None:
        """Remove the outlines."""
        viewer = unwrapped(viewer)
        layers = self._display.layers(viewer)
        for layer in layers:
            viewer.layers.remove(layer)
        if layers:
            viewer.canvas.grid.stride = 1

    def layers(self, viewer: Any) -> list[Any]:
        """Return the layers of outlines in the viewer."""
        return self._display.layers(viewer)
