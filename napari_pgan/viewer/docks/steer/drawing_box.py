"""Choice of the drawing layer, and edits of the whole drawing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import narrow

Edit = Callable[[np.ndarray], np.ndarray]
_STEP = 1 / 32  # of a move, relative to the image
_GROWTH = 1.25  # factor of the area


class DrawingBox(QWidget):
    """Buttons for a new drawing, a choice of layers, and buttons that move, scale and remove the lesion.

    Signals: `new_wanted()`, `sample_wanted()`, `layer_chosen(layer or None)`, `edit_wanted(function)`; the function
    maps labels (Y, X) to labels.
    """

    new_wanted = Signal()
    sample_wanted = Signal()
    layer_chosen = Signal(object)
    edit_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.new_button, self.sample_button = QPushButton("New drawing"), QPushButton("From the sample")
        self.layer = LayerChoice()
        self.edits: dict[str, QToolButton] = {}
        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.new_button, 1)
        first.addWidget(self.sample_button, 1)
        second.addWidget(QLabel("Layer"))
        second.addWidget(self.layer, 1)
        third = QHBoxLayout()
        third.setSpacing(2)
        third.addWidget(QLabel("Lesion"))
        for text, tip, edit in _EDITS:
            button = QToolButton()
            button.setText(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, edit=edit: self.edit_wanted.emit(edit))
            self.edits[tip] = button
            third.addWidget(button)
        third.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        for row in (first, second, third):
            layout.addLayout(row)
        self.new_button.clicked.connect(self.new_wanted.emit)
        self.sample_button.clicked.connect(self.sample_wanted.emit)
        self.layer.chosen.connect(self.layer_chosen.emit)

    def allow(self, why_not: str) -> None:
        """Enable the controls, or disable them and show the reason."""
        allow(self.new_button, "A Labels layer with the model's labels, ready for the brush", why_not)
        allow(self.sample_button, "A drawing that starts with the segmentation of the displayed sample", why_not)
        allow(self.layer, "Use an existing Labels layer as the drawing", why_not)
        for tip, button in self.edits.items():
            allow(button, tip, why_not)


class LayerChoice(QComboBox):
    """Choice of a Labels layer or none.

    Signals: `chosen(layer or None)`.
    """

    chosen = Signal(object)

    def __init__(self, nothing: str = "none", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._nothing = nothing
        narrow(self)
        self.activated.connect(lambda index: self.chosen.emit(self.itemData(index)))

    def offer(self, layers: list[Any], present: Any) -> None:
        """Offer layers; select the present one."""
        self.clear()
        self.addItem(self._nothing, None)
        for layer in layers:
            self.addItem(layer.name, layer)
        self.setCurrentIndex(next((i for i, layer in enumerate(layers, 1) if layer is present), 0))


def _shift(dy: int, dx: int) -> Edit:
    def edit(labels: np.ndarray) -> np.ndarray:
        from napari_pgan.latent.steering import moved

        step = max(1, round(_STEP * min(labels.shape)))
        return moved(labels, dy * step, dx * step)

    return edit


def _grow(factor: float) -> Edit:
    def edit(labels: np.ndarray) -> np.ndarray:
        from napari_pgan.latent.steering import grown

        return grown(labels, factor)

    return edit


def _remove(labels: np.ndarray) -> np.ndarray:
    from napari_pgan.latent.steering import removed

    return removed(labels)


_EDITS: tuple[tuple[str, str, Edit], ...] = (
    ("←", "Move it to the left", _shift(0, -1)),
    ("↑", "Move it up", _shift(-1, 0)),
    ("↓", "Move it down", _shift(1, 0)),
    ("→", "Move it to the right", _shift(0, 1)),
    ("+", "A quarter more area", _grow(_GROWTH)),
    ("−", "A fifth less area", _grow(1 / _GROWTH)),
    ("✕", "Remove it", _remove),
)
