"""The box that says what is asked: which layer is the drawing, and how it is searched for."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_pgan.viewer.docks.whynot import allow

_MOST = 24
_NOTHING = "no layer"


class AskBox(QWidget):
    """A drawing to begin, or a layer to take as one.

    Signals: `new_wanted()`, `layer_chosen(layer or None)`, `search_wanted()`, `stop_wanted()`, `changed()`.
    """

    new_wanted = Signal()
    layer_chosen = Signal(object)
    search_wanted = Signal()
    stop_wanted = Signal()
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.new_button = QPushButton("New drawing")
        self.layer = QComboBox()
        self.layer.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.layer.setMinimumContentsLength(10)
        self.count = QSpinBox()
        self.count.setRange(1, _MOST)
        self.count.setValue(6)
        self.count.setKeyboardTracking(False)
        self.live = QCheckBox("Follow the hand")
        self.live.setChecked(True)
        self.search_button = QPushButton("Search")
        self._searching = False

        first, second = QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.new_button)
        first.addWidget(QLabel("or use"))
        first.addWidget(self.layer, 1)
        for widget in (self.live, QLabel("Candidates"), self.count, self.search_button):
            second.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(first)
        layout.addLayout(second)

        self.new_button.clicked.connect(self.new_wanted.emit)
        self.layer.activated.connect(lambda index: self.layer_chosen.emit(self.layer.itemData(index)))
        self.count.valueChanged.connect(lambda _: self.changed.emit())
        self.live.toggled.connect(lambda _: self.changed.emit())
        self.search_button.clicked.connect(self._on_search)

    def offer(self, layers: list[Any], chosen: Any) -> None:
        """Offer Labels layers, one of them the drawing, or None."""
        self.layer.clear()
        self.layer.addItem(_NOTHING, None)
        for layer in layers:
            self.layer.addItem(layer.name, layer)
        self.layer.setCurrentIndex(next((i + 1 for i, layer in enumerate(layers) if layer is chosen), 0))

    def allow(self, why_not: str, has_drawing: bool, searching: bool) -> None:
        """Enable the controls, or say why they cannot be used."""
        self._searching = searching
        self.search_button.setText("Stop" if searching else "Search")
        allow(self.new_button, "A Labels layer with the model's labels, ready for the brush", why_not)
        allow(self.layer, "Take a Labels layer that there is as the drawing", why_not)
        allow(self.count, "How many candidates are searched for", why_not)
        allow(self.live, "Search by itself, a moment after each stroke", why_not)
        tip = "End the search; the best so far stays" if searching else "Search for what is drawn"
        allow(self.search_button, tip, why_not or ("" if has_drawing else "Draw first, or choose a layer"))

    def _on_search(self) -> None:
        (self.stop_wanted if self._searching else self.search_wanted).emit()
