"""What is asked with layers: the drawing, and the lock that marks what stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pgan.errors import InputError
from napari_pgan.viewer.docks.steer.drawing_box import Change
from napari_pgan.viewer.docks.steer.strokes import Strokes
from napari_pgan.viewer.drawing import all_but, drawing_layer, drawn_on, lock_layer, locked_on
from napari_pgan.viewer.layers import METADATA_KEY
from napari_pgan.viewer.search import Hand, Lock
from napari_pgan.viewer.session import Shown

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetMask
    from napari_pgan.model import Model

_BRUSH = 0.08  # of the image


class DrawingLayers(QObject):
    """The two layers, and what is on them.

    Signals: `changed()`, a moment after a hand has drawn on one of them.

    Parameters
    ----------
    viewer
        A napari viewer itself.
    hand
        Is down while somebody draws.
    parent
        As Qt has it.
    """

    changed = Signal()

    def __init__(self, viewer: Any, hand: Hand, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._strokes = {name: Strokes(hand, self) for name in ("drawing", "lock")}
        self.drawing: Any = None
        self.lock: Any = None
        self._base: Shown | None = None  # what the lock keeps
        self._touched = False  # whether anything was ever drawn: an empty layer asks for nothing before
        for strokes in self._strokes.values():
            strokes.drawn.connect(self.changed.emit)
        viewer.dims.events.point.connect(self._on_moved)

    @property
    def layers(self) -> list[Any]:
        """Those of the two that are there."""
        return [layer for layer in (self.drawing, self.lock) if layer is not None]

    def use(self, layer: Any) -> None:
        """Take a Labels layer, or none, as the drawing."""
        self.drawing, self._touched = layer, layer is not None and bool(np.any(layer.data))
        self._strokes["drawing"].follow(layer)

    def keep(self, layer: Any, base: Shown | None) -> None:
        """Take a Labels layer, or none, as the mark of what stays of a sample."""
        if layer is not None and base is not None and base.batch.truncation != 1:
            raise InputError("what stays is searched for without truncation; set it to 1 in Explore and lock again")
        if layer is not None and base is not None and base.batch.refined.any():
            raise InputError("a refined image is more than its latent, and cannot be locked; lock one from before that")
        self.lock, self._base = layer, base
        self._strokes["lock"].follow(layer)

    def touch(self) -> None:
        """Let the drawing count though it may be empty: no lesion is asked for."""
        self._touched = True

    def forget_gone(self) -> bool:
        """Take note of layers that were removed; whether there were any."""
        before = (self.drawing, self.lock)
        if self.drawing is not None and self.drawing not in self._viewer.layers:
            self.use(None)
        if self.lock is not None and self.lock not in self._viewer.layers:
            self.keep(None, None)
        return before != (self.drawing, self.lock)

    def wish(self, model: Model) -> TargetMask | None:
        """What is drawn; None as long as nothing was.

        Raises
        ------
        InputError
            It is no drawing for this model.
        """
        from napari_pgan.latent.steering import TargetMask

        if self.drawing is None:
            return None
        dims, card = self._viewer.dims, model.card
        drawn = drawn_on(self.drawing, card.grid, dims.point, dims.displayed)
        wish = TargetMask.of(drawn.labels, card.channels, card.grid, drawn.affine)
        messages = [*drawn.told, *wish.messages]
        if wish.present.any() or wish.open.any():
            self._touched = True
        elif not self._touched:
            return None
        return replace(wish, messages=tuple(messages))

    def locked(self, model: Model, modality: str | None) -> Lock | None:
        """What stays; None where nothing is marked."""
        if self.lock is None or self._base is None or self._base.request.model is not model:
            return None
        dims = self._viewer.dims
        where = locked_on(self.lock, model.card.grid, dims.point, dims.displayed)
        return Lock(self._base.batch.latents[0], where, modality) if where.any() else None

    def new_drawing(self, model: Model, labels: np.ndarray) -> None:
        """Add a layer to draw on, which begins with labels (Y, X) on the model's grid, and take it."""
        _, options, _ = drawing_layer(model)
        layer = self._viewer.add_labels(labels.copy(), **options)
        layer.selected_label = options["features"]["index"][1]
        self._ready(layer)
        self.use(layer)

    def new_lock(self, model: Model, base: Shown) -> None:
        """Add a layer that keeps a sample but for its lesion and the one that is drawn."""
        from napari_pgan.latent.steering import TargetMask

        wish = self.wish(model)
        lesions = TargetMask.of(base.batch.labels[0], model.card.channels, model.card.grid).labels > 0
        if wish is not None:
            lesions = lesions | (wish.labels > 0) | wish.open
        _, options, _ = lock_layer(model)
        before = self.drawing
        layer = self._viewer.add_labels(all_but(lesions), **options)
        self._ready(layer)
        self.keep(layer, base)
        if before is not None:
            self._viewer.layers.selection = {before}

    def change(self, model: Model, function: Change) -> None:
        """Change what is drawn as a whole, which napari's undo takes back; another's layer is left alone and copied.

        Raises
        ------
        InputError
            Nothing is drawn, or nothing would be left.
        """
        wish = self.wish(model)
        if wish is None or not wish.present.any():
            raise InputError("there is no lesion to change; draw one, or take that of the sample")
        changed = function(wish.labels)
        if not self._is_own(model):
            self.new_drawing(model, changed)
            return
        kept = np.where(wish.open & (changed == 0), self.drawing.data, changed)
        places = np.nonzero(kept != self.drawing.data)
        self.drawing.data_setitem(places, kept[places])

    def stop(self) -> None:
        """Listen to nothing any more."""
        for strokes in self._strokes.values():
            strokes.stop()
        self._viewer.dims.events.point.disconnect(self._on_moved)

    def soon(self) -> None:
        """Say `changed` in a moment."""
        self._strokes["drawing"].soon()

    def _ready(self, layer: Any) -> None:
        layer.name_overlay.visible = self._viewer.canvas.grid.enabled
        layer.brush_size = max(1, round(_BRUSH * min(layer.data.shape)))
        layer.mode = "paint"
        self._viewer.layers.selection = {layer}

    def _is_own(self, model: Model) -> bool:
        about = self.drawing.metadata.get(METADATA_KEY, {})
        made = (about.get("samples") or [{}])[0]
        return made.get("model_identity") == model.identity and "drawn_for" in made

    def _on_moved(self, _: Any = None) -> None:
        if any(layer.ndim > 2 for layer in self.layers):
            self.soon()
