"""Choice of the latents: a seed, or an archive of latents."""

from __future__ import annotations

import secrets

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QLargeIntSpinBox

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.session import LatentSource

_RANDOM_BELOW = 1_000_000  # short enough to type and to quote


class LatentBox(QWidget):
    """Seed with buttons for a random one, for undo and for an archive of latents.

    Signals: `seed_changed(seed)` when a seed is typed or stepped to, `random_wanted(seed)`, `undo_wanted()`,
    `file_chosen(file)`.
    """

    seed_changed = Signal(object)
    random_wanted = Signal(object)
    undo_wanted = Signal()
    file_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.seed = QLargeIntSpinBox()
        self.seed.setRange(0, 2**32 - 1)
        self.seed.setKeyboardTracking(False)  # otherwise typing 123 also emits 1 and 12
        self.random_button = QPushButton("Random seed")
        self.undo_button = QPushButton("Undo")
        self.file_button = QPushButton("Latents…")
        self.note = QLabel("")
        self.note.setWordWrap(True)
        self.note.setVisible(False)

        top = QHBoxLayout()
        top.addWidget(QLabel("Seed"))
        top.addWidget(self.seed, 1)
        top.addWidget(self.file_button)
        bottom = QHBoxLayout()
        bottom.addWidget(self.random_button, 1)
        bottom.addWidget(self.undo_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.note)
        layout.addLayout(bottom)

        self.seed.valueChanged.connect(lambda value: self.seed_changed.emit(int(value)))
        self.random_button.clicked.connect(self.draw)
        self.undo_button.clicked.connect(self.undo_wanted.emit)
        self.file_button.clicked.connect(self._choose)

    def draw(self) -> None:
        """Emit a random seed."""
        if self.random_button.isEnabled():
            self.random_wanted.emit(secrets.randbelow(_RANDOM_BELOW))

    def show_latent(self, latent: LatentSource) -> None:
        """Show a seed, or a note about latents without one."""
        self.seed.blockSignals(True)
        self.seed.setValue(latent.seed)
        self.seed.blockSignals(False)
        self.note.setVisible(latent.latents is not None)
        refined = " and are refined with feature offsets" if latent.offsets else ""
        self.note.setText(f"The present latents do not come from a seed{refined}.")

    def allow(self, why_not: str, can_undo: bool) -> None:
        """Enable the controls, or disable them and show the reason."""
        allow(self.seed, "The same seed gives the same image everywhere", why_not)
        allow(self.random_button, "Draw a random seed and sample it", why_not)
        allow(self.file_button, "Open latents written by steer, encode or sample (.npz), or drop the file", why_not)
        allow(self.undo_button, "Back to the previous seed", why_not or ("" if can_undo else "No seed to go back to"))

    def _choose(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Open latents", "", "Latents (*.npz);;All files (*)")
        if file:
            self.file_chosen.emit(file)
