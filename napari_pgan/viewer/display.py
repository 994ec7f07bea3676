"""Keeps one layer for each part of a result, and leaves every other layer alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple


class Display:
    """The layers of a viewer that hold results.

    A layer is filled anew when the next result comes. It is ours no longer, stays as it is, and another one is made in
    its place, when a person has deleted it or changed its data.
    """

    def __init__(self) -> None:
        self._layers: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._written: dict[str, np.ndarray] = {}

    def steps(self, viewer: Any, tuples: list[LayerTuple], *, live: bool = False) -> Iterator[None]:
        """Put a result into the viewer, layer by layer; take the steps in the thread of the event loop.

        napari takes long to add a layer (50 to 300 ms), so the iterator yields before each: whoever drives it can let
        the event loop run. Filling the layers that are there takes a few ms and no step.

        Parameters
        ----------
        viewer
            A napari viewer.
        tuples
            What `layers.batch_layers` gives, from the lowest to the top layer.
        live
            More is on its way: the small pictures in the layer list can wait.
        """
        viewer = real(viewer)
        wanted = {_slot(options): options for _, options, _ in tuples}
        kinds = {_slot(options): kind for _, options, kind in tuples}
        for slot, layer in self._ours(viewer).items():
            if slot not in wanted or not _fits(layer, wanted[slot], kinds[slot]):  # of another model
                yield
                if layer in viewer.layers:
                    viewer.layers.remove(layer)
        for data, options, kind in tuples:
            slot = _slot(options)
            layer = self._ours(viewer).get(slot)
            if layer is not None:
                self._written[slot] = data
                _fill(layer, data, options, live)
                continue
            yield
            self._written[slot] = data
            self._layers[slot] = getattr(viewer, f"add_{kind}")(data.copy(), **options)

    def show(self, viewer: Any, tuples: list[LayerTuple], *, live: bool = False) -> None:
        """All steps at once."""
        for _ in self.steps(viewer, tuples, live=live):
            pass

    def layers(self, viewer: Any) -> list[Any]:
        """The layers of the last result that are still there and still as they were made."""
        return list(self._ours(real(viewer)).values())

    def _ours(self, viewer: Any) -> dict[str, Any]:
        present = {id(layer) for layer in viewer.layers}
        return {
            slot: layer
            for slot, layer in self._layers.items()
            if id(layer) in present and np.array_equal(layer.data, self._written[slot])
        }


def arrange(viewer: Any, layers: list[Any]) -> Iterator[None]:
    """In a viewer that was empty: pictures beside each other with their names, and a scale bar.

    Parameters
    ----------
    viewer
        A napari viewer.
    layers
        Those that show their names.
    """
    canvas = viewer.canvas
    canvas.grid.stride = 1
    canvas.grid.enabled = True
    yield
    for layer in layers:
        layer.name_overlay.visible = True
    canvas.overlays.scale_bar.visible = True
    viewer.reset_view()


_displays: WeakKeyDictionary[Any, Display] = WeakKeyDictionary()


def display_of(viewer: Any) -> Display:
    """The display of a viewer, made when it is first asked for; it goes when the viewer goes."""
    viewer = real(viewer)
    if viewer not in _displays:
        _displays[viewer] = Display()
    return _displays[viewer]


def real(viewer: Any) -> Any:
    """A viewer itself, of what a plugin is given."""
    return getattr(viewer, "__wrapped__", viewer)  # napari hands a proxy to plugins


def _slot(options: dict[str, Any]) -> str:
    return options["metadata"][METADATA_KEY]["slot"]


def _fits(layer: Any, options: dict[str, Any], kind: str) -> bool:
    return type(layer).__name__.lower() == kind and _nature(layer.metadata) == _nature(options["metadata"])


def _nature(metadata: dict[str, Any]) -> Any:
    """What new data cannot change: names, colours, units."""
    about = metadata.get(METADATA_KEY, {})
    grid = about.get("grid", {})
    return about.get("channels"), grid.get("axes"), grid.get("spacing") is None


def _fill(layer: Any, data: np.ndarray, options: dict[str, Any], live: bool) -> None:
    if layer.data.shape == data.shape:
        layer.data[...] = data  # a quarter of the time of setting new data, and a thirtieth of that of a new layer
        layer.refresh(thumbnail=not live, extent=False)
    else:
        dimensions = layer.ndim
        layer.data = data.copy()
        if layer.ndim != dimensions:
            layer.units, layer.axis_labels = options["units"], options["axis_labels"]
    for name in ("scale", "translate"):
        if not np.allclose(getattr(layer, name), options[name]):
            setattr(layer, name, options[name])
    layer.metadata = options["metadata"]
