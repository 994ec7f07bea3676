"""Displays results in layers that are reused, and never changes other layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple


class Display:
    """The layers of results in a viewer, one for each part.

    The next result overwrites their data. A layer that the user has deleted or edited is replaced by a new one; an
    edited layer stays as it is.
    """

    def __init__(self) -> None:
        self._layers: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._written: dict[str, np.ndarray] = {}

    def steps(self, viewer: Any, tuples: list[LayerTuple], *, live: bool = False) -> Iterator[None]:
        """Display a result step by step; must run in the event loop's thread.

        napari takes 50 to 300 ms to add or remove a layer. The iterator yields before each, so that the event loop can
        run. Overwriting existing layers takes a few ms and no step.

        Parameters
        ----------
        viewer
            A napari viewer.
        tuples
            Layers as from `layers.batch_layers`, from bottom to top.
        live
            Whether another result follows soon; thumbnails are not updated then.
        """
        viewer = unwrapped(viewer)
        wanted = {_slot(options): options for _, options, _ in tuples}
        kinds = {_slot(options): kind for _, options, kind in tuples}
        for slot, layer in self._own(viewer).items():
            if slot not in wanted or not _fits(layer, wanted[slot], kinds[slot]):  # from another model
                yield
                if layer in viewer.layers:
                    viewer.layers.remove(layer)
        for data, options, kind in tuples:
            slot = _slot(options)
            layer = self._own(viewer).get(slot)
            if layer is not None:
                self._written[slot] = data
                _fill(layer, data, options, live)
                continue
            yield
            self._written[slot] = data
            self._layers[slot] = getattr(viewer, f"add_{kind}")(data.copy(), **options)

    def show(self, viewer: Any, tuples: list[LayerTuple], *, live: bool = False) -> None:
        """Display a result in one step."""
        for _ in self.steps(viewer, tuples, live=live):
            pass

    def layers(self, viewer: Any) -> list[Any]:
        """Return the layers of the last result that the user has neither deleted nor edited."""
        return list(self._own(unwrapped(viewer)).values())

    def _own(self, viewer: Any) -> dict[str, Any]:
        present = {id(layer) for layer in viewer.layers}
        return {
            slot: layer
            for slot, layer in self._layers.items()
            if id(layer) in present and np.array_equal(layer.data, self._written[slot])
        }


def arrange(viewer: Any, layers: list[Any]) -> Iterator[None]:
    """Arrange layers in a grid with their names and a scale bar, for a viewer that was empty.

    Parameters
    ----------
    viewer
        A napari viewer.
    layers
        Layers that show their names.
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
    """Return the display of a viewer; it lives as long as the viewer."""
    viewer = unwrapped(viewer)
    if viewer not in _displays:
        _displays[viewer] = Display()
    return _displays[viewer]


def unwrapped(viewer: Any) -> Any:
    """Return the viewer behind the proxy that napari passes to plugins."""
    return getattr(viewer, "__wrapped__", viewer)


def _slot(options: dict[str, Any]) -> str:
    return options["metadata"][METADATA_KEY]["slot"]


def _fits(layer: Any, options: dict[str, Any], kind: str) -> bool:
    return type(layer).__name__.lower() == kind and _fixed(layer.metadata) == _fixed(options["metadata"])


def _fixed(metadata: dict[str, Any]) -> Any:
    """Return the properties that new data cannot change: channels, axes, units."""
    about = metadata.get(METADATA_KEY, {})
    grid = about.get("grid", {})
    return about.get("channels"), grid.get("axes"), grid.get("spacing") is None


def _fill(layer: Any, data: np.ndarray, options: dict[str, Any], live: bool) -> None:
    if layer.data.shape == data.shape:
        layer.data[...] = data  # 4 times faster than new data, 30 times than a new layer
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
