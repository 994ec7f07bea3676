"""The part of the dock Prepare that shows an exam before and after in the viewer."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_pgan.viewer.compare import Compared
from napari_pgan.viewer.display import Display
from napari_pgan.viewer.docks.prepare.compare_box import CompareBox
from napari_pgan.viewer.layers import LayerTuple
from napari_pgan.viewer.renderer import Renderer


class Comparison(QWidget):
    """One layer in which two images stand together; the person's own layers may be hidden meanwhile.

    Signals: `failed(exception)`.

    Parameters
    ----------
    viewer
        A napari viewer.
    """

    failed = Signal(object)

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._painter, self._shown = Renderer(self), Display()
        self._compared: Compared | None = None
        self._hidden: list[Any] = []
        self.box = CompareBox()
        self.alone = QCheckBox("Hide the other layers")
        self.alone.setChecked(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(self.alone)
        self.box.changed.connect(self._paint)
        self.alone.toggled.connect(self._on_alone)
        self._painter.failed.connect(self.failed)
        viewer.dims.events.order.connect(self._paint)  # the swipe follows what is across the screen
        viewer.layers.events.removed.connect(self._on_removed)

    def show_exam(self, compared: Compared) -> None:
        """Offer what can be compared in an exam, and show it."""
        self._compared = compared
        self.box.offer(compared.pairs)
        self._paint()

    def put_away(self) -> None:
        """Hide the picture, and show the layers that were hidden."""
        for layer in self._shown.layers(self._viewer):
            layer.visible = False
        self._show_others()

    def end(self) -> None:
        """No picture comes after this; layers that were hidden are shown again."""
        self._show_others()
        self._painter.stop()
        self._viewer.dims.events.order.disconnect(self._paint)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _paint(self, _: Any = None) -> None:
        """Compose the picture in the background; of many wishes while a slider is dragged the newest counts."""
        compared, box = self._compared, self.box
        if compared is None or box.modality.currentData() is None:
            return
        axis = int(self._viewer.dims.displayed[-1]) - (self._viewer.dims.ndim - 3)
        how = (box.modality.currentData(), box.after.isChecked(), box.is_swipe, float(box.slider.value()), max(axis, 0))
        self._painter.request(lambda _: compared.picture(*how), self._on_painted, keep_running=True)

    def _on_painted(self, made: LayerTuple) -> None:
        new = not self._shown.layers(self._viewer)
        self._shown.show(self._viewer, [made], live=self._painter.is_busy)
        for layer in self._shown.layers(self._viewer):
            layer.visible = True
        if new:
            look_at_middle(self._viewer)
        if self.alone.isChecked():
            self._hide_others()

    def _on_alone(self, on: bool) -> None:
        if not on:
            self._show_others()
        elif any(layer.visible for layer in self._shown.layers(self._viewer)):
            self._hide_others()

    def _on_removed(self, _: Any = None) -> None:
        self._hidden = [layer for layer in self._hidden if layer in self._viewer.layers]

    def _hide_others(self) -> None:
        for layer in self._viewer.layers:
            if layer.visible and layer not in self._shown.layers(self._viewer):
                layer.visible = False
                self._hidden.append(layer)

    def _show_others(self) -> None:
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []


def look_at_middle(viewer: Any) -> None:
    """The middle of what was made, in full."""
    viewer.dims.set_point(range(viewer.dims.ndim), (0.0,) * viewer.dims.ndim)
    viewer.reset_view()
