"""The Labels layers of the drawing and of the lock, which marks what must stay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_pgan.errors import InputError
from napari_pgan.viewer.docks.steer.drawing_box import Edit
from napari_pgan.viewer.docks.steer.strokes import StrokeListener
from napari_pgan.viewer.drawing import drawing_layer, lock_layer, lock_mask, read_drawing, read_lock
from napari_pgan.viewer.layers import METADATA_KEY
from napari_pgan.viewer.session import SampleResult
from napari_pgan.viewer.steering_search import Lock, Mouse

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetMask
    from napari_pgan.model import Model

_BRUSH = 0.08  # brush size, relative to the image


class DrawingLayers(QObject):
    """The two layers and their content.

    Signals: `changed()`, shortly after one of them may have changed.

    Parameters
    ----------
    viewer
        A napari viewer, not its proxy.
    mouse
        Is pressed during a stroke.
    parent
        Qt parent.
    """

    changed = Signal()

    def __init__(self, viewer: Any, mouse: Mouse, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._strokes = {name: StrokeListener(mouse, self) for name in ("drawing", "lock")}
        self.drawing: Any = None
        self.lock: Any = None
        self._locked_sample: SampleResult | None = None
        self._accepts_empty = False  # an empty drawing is a target only after something was drawn
        for strokes in self._strokes.values():
            strokes.drawn.connect(self.changed)
        self.schedule = self._strokes["drawing"].schedule  # emit `changed` shortly
        viewer.dims.events.point.connect(self._on_slice)

    @property
    def layers(self) -> list[Any]:
        """Those that exist."""
        return [layer for layer in (self.drawing, self.lock) if layer is not None]

    def use(self, layer: Any) -> None:
        """Use a Labels layer, or none, as the drawing."""
        self.drawing, self._accepts_empty = layer, layer is not None and bool(np.any(layer.data))
        self._strokes["drawing"].follow(layer)

    def use_lock(self, layer: Any, sample: SampleResult | None) -> None:
        """Use a Labels layer, or none, as the lock of a sample.

        Raises
        ------
        InputError
            The sample has a truncation or feature offsets.
        """
        if layer is not None and sample is not None:
            if sample.batch.truncation != 1:
                raise InputError("a lock needs an image without truncation; set it to 1 in Explore and lock again")
            if sample.batch.refined.any():
                raise InputError("a refined image cannot be locked; lock one from before the refinement")
        self.lock, self._locked_sample = layer, sample
        self._strokes["lock"].follow(layer)

    def accept_empty(self) -> None:
        """Accept an empty drawing as a target without a lesion."""
        self._accepts_empty = True

    def forget_removed(self) -> None:
        """Forget layers that are no longer in the viewer."""
        if self.drawing is not None and self.drawing not in self._viewer.layers:
            self.use(None)
        if self.lock is not None and self.lock not in self._viewer.layers:
            self.use_lock(None, None)

    def target(self, model: Model) -> TargetMask | None:
        """Return the drawing as a target; None before anything is drawn.

        Raises
        ------
        InputError
            The layer does not fit the model.
        """
        from napari_pgan.latent.steering import TargetMask

        if self.drawing is None:
            return None
        dims, card = self._viewer.dims, model.card
        drawn = read_drawing(self.drawing, card.grid, dims.point, dims.displayed)
        target = TargetMask.of(drawn.labels, card.channels, card.grid, drawn.affine)
        if target.present.any() or target.open.any():
            self._accepts_empty = True
        elif not self._accepts_empty:
            return None
        return replace(target, messages=(*drawn.messages, *target.messages))

    def locked(self, model: Model, modality: str | None) -> Lock | None:
        """Return what must stay; None if nothing is marked."""
        sample = self._locked_sample
        if self.lock is None or sample is None or sample.request.model is not model:
            return None
        dims = self._viewer.dims
        where = read_lock(self.lock, model.card.grid, dims.point, dims.displayed)
        return Lock(sample.batch.latents[0], where, modality) if where.any() else None

    def new_drawing(self, model: Model, labels: np.ndarray) -> None:
        """Add a layer to draw on with initial labels (Y, X) on the model's grid, and use it."""
        _, options, _ = drawing_layer(model)
        layer = self._viewer.add_labels(labels.copy(), **options)
        layer.selected_label = options["features"]["index"][1]
        self._set_up(layer)
        self.use(layer)

    def new_lock(self, model: Model, sample: SampleResult) -> None:
        """Add a layer that locks a sample except for its lesion and the drawn one."""
        from napari_pgan.latent.steering import TargetMask

        target = self.target(model)
        lesions = TargetMask.of(sample.batch.labels[0], model.card.channels, model.card.grid).labels > 0
        if target is not None:
            lesions = lesions | (target.labels > 0) | target.open
        _, options, _ = lock_layer(model)
        layer = self._viewer.add_labels(lock_mask(lesions), **options)
        self._set_up(layer)
        self.use_lock(layer, sample)
        if self.drawing is not None:
            self._viewer.layers.selection = {self.drawing}

    def edit(self, model: Model, function: Edit) -> None:
        """Edit the whole drawing, with napari's undo; a layer of another origin is copied first.

        Raises
        ------
        InputError
            Nothing is drawn, or nothing would remain.
        """
        target = self.target(model)
        if target is None or not target.present.any():
            raise InputError("there is no lesion to change; draw one, or start from the sample")
        edited = function(target.labels)
        if not self._is_own(model):
            self.new_drawing(model, edited)
            return
        edited = np.where(target.open & (edited == 0), self.drawing.data, edited)
        pixels = np.nonzero(edited != self.drawing.data)
        self.drawing.data_setitem(pixels, edited[pixels])

    def stop(self) -> None:
        """Stop listening."""
        for strokes in self._strokes.values():
            strokes.stop()
        self._viewer.dims.events.point.disconnect(self._on_slice)

    def _set_up(self, layer: Any) -> None:
        layer.name_overlay.visible = self._viewer.canvas.grid.enabled
        layer.brush_size = max(1, round(_BRUSH * min(layer.data.shape)))
        layer.mode = "paint"
        self._viewer.layers.selection = {layer}

    def _is_own(self, model: Model) -> bool:
        about = self.drawing.metadata.get(METADATA_KEY, {})
        made = (about.get("samples") or [{}])[0]
        return made.get("model_identity") == model.identity and "drawn_for" in made

    def _on_slice(self, _: Any = None) -> None:
        if any(layer.ndim > 2 for layer in self.layers):
            self.schedule()
