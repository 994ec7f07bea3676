"""Choice of a model, with its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pgan.viewer.card_text import summary
from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import narrow

if TYPE_CHECKING:
    from napari_pgan.model import Model


class ModelBox(QWidget):
    """Combo box of shipped and recent models, a button for other files, and the card of the model.

    Signals: `chosen(source)`, a file or the name of a shipped model.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choice = narrow(QComboBox(), 14)
        self.open_button = QPushButton("Open…")
        allow(self.open_button, "Open a model file (.safetensors); or drop it on the window")
        self.card = QLabel("No model yet.")
        self.limits = QLabel()
        for label in (self.card, self.limits):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

        row = QHBoxLayout()
        row.addWidget(self.choice, 1)
        row.addWidget(self.open_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.card)
        layout.addWidget(self.limits)

        self._current = ""
        self.choice.activated.connect(self._on_activated)
        self.open_button.clicked.connect(self._on_open)
        self.offer([], [])

    def offer(self, shipped: list[str], files: list[str]) -> None:
        """List shipped models by name, then files."""
        self.choice.clear()
        for name in shipped:
            self.choice.addItem(f"{name} (shipped)", name)
        for file in files:
            self.choice.addItem(Path(file).stem, file)
            self.choice.setItemData(self.choice.count() - 1, file, Qt.ItemDataRole.ToolTipRole)
        why_not = "" if self.choice.count() else "No model is shipped and there are no recent ones: use Open…"
        allow(self.choice, "Model that generates the images", why_not)
        self._select(self._current)

    def show_model(self, model: Model, source: str) -> None:
        """Show the card of a model."""
        self._current = source
        self._select(source)
        self.card.setText(summary(model.card))
        self.limits.setText(model.card.limits)
        self.limits.setStyleSheet("font-weight: bold")

    def revert(self) -> None:
        """Select the model in use again."""
        self._select(self._current)

    def _select(self, source: str) -> None:
        self.choice.setCurrentIndex(self.choice.findData(source))

    def _on_activated(self, index: int) -> None:
        self.chosen.emit(self.choice.itemData(index))

    def _on_open(self) -> None:
        folder = str(Path(self._current).parent) if Path(self._current).is_absolute() else ""
        file, _ = QFileDialog.getOpenFileName(self, "Open a model", folder, "Models (*.safetensors);;All files (*)")
        if file:
            self.chosen.emit(file)
