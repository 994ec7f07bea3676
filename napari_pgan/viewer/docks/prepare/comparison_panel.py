"""Panel that shows an exam before and after registration in the viewer."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_pgan.viewer.display import Display
from napari_pgan.viewer.docks.prepare.compare_form import SWIPE, CompareForm
from napari_pgan.viewer.exam_comparison import ExamComparison
from napari_pgan.viewer.layers import LayerTuple
from napari_pgan.viewer.renderer import Renderer


class ComparisonPanel(CompareForm):
    """Shows the chosen comparison as one layer; it can hide all other layers.

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
        self._renderer, self._display = Renderer(self), Display()
        self._comparison: ExamComparison | None = None
        self._hidden: list[Any] = []
        self.hide_others = QCheckBox("Hide the other layers")
        self.hide_others.setChecked(True)
        self.rows.addRow(self.hide_others)
        self.changed.connect(lambda *_: self._update())
        self.hide_others.toggled.connect(self._on_hide_others)
        self._renderer.failed.connect(self.failed)
        viewer.dims.events.order.connect(self._update)  # the swipe follows the horizontal axis
        viewer.layers.events.removed.connect(self._on_removed)

    def show_exam(self, comparison: ExamComparison) -> None:
        """Show an exam."""
        self._comparison = comparison
        self.set_pairs(comparison.pairs)
        self._update()

    def hide_picture(self) -> None:
        """Hide the picture and show the hidden layers again."""
        for layer in self._display.layers(self._viewer):
            layer.visible = False
        self._show_others()

    def shut_down(self) -> None:
        """Stop the work and show the hidden layers again."""
        self._show_others()
        self._renderer.stop()
        self._viewer.dims.events.order.disconnect(self._update)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _update(self, _: Any = None) -> None:
        """Compose the picture in the background; while a slider is dragged, only the newest request counts."""
        comparison, options = self._comparison, self.read()
        if comparison is None or options.part is None:
            return
        part, after, swipe = options.part, self.after.isChecked(), options.mode == SWIPE
        value = float(options.position if swipe else options.field)
        axis = max(int(self._viewer.dims.displayed[-1]) - (self._viewer.dims.ndim - 3), 0)
        self._renderer.request(
            lambda _: comparison.picture(part, after, swipe, value, axis), self._on_picture, keep_running=True
        )

    def _on_picture(self, picture: LayerTuple) -> None:
        is_new = not self._display.layers(self._viewer)
        self._display.show(self._viewer, [picture], live=self._renderer.is_busy)
        for layer in self._display.layers(self._viewer):
            layer.visible = True
        if is_new:
            centre_view(self._viewer)
        if self.hide_others.isChecked():
            self._hide_others()

    def _on_hide_others(self, on: bool) -> None:
        if not on:
            self._show_others()
        elif any(layer.visible for layer in self._display.layers(self._viewer)):
            self._hide_others()

    def _on_removed(self, _: Any = None) -> None:
        self._hidden = [layer for layer in self._hidden if layer in self._viewer.layers]

    def _hide_others(self) -> None:
        for layer in self._viewer.layers:
            if layer.visible and layer not in self._display.layers(self._viewer):
                layer.visible = False
                self._hidden.append(layer)

    def _show_others(self) -> None:
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []


def centre_view(viewer: Any) -> None:
    """Show the centre of the volume, with the whole slice in view."""
    viewer.dims.set_point(range(viewer.dims.ndim), (0.0,) * viewer.dims.ndim)
    viewer.reset_view()
