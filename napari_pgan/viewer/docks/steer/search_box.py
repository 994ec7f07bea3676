"""The box that says how is searched: by itself or on demand, for how many, and what shall stay."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import narrow
from napari_pgan.viewer.docks.steer.drawing_box import LayerChoice

_MOST = 24
_ALL = "all modalities"
_STRENGTH = 0.3


class SearchBox(QWidget):
    """How a search goes.

    Signals: `search_wanted()`, `stop_wanted()`, `refine_wanted(strength)`, `lock_wanted()`, `lock_chosen(layer or
    None)`, `changed()`.
    """

    search_wanted = Signal()
    stop_wanted = Signal()
    refine_wanted = Signal(float)
    lock_wanted = Signal()
    lock_chosen = Signal(object)
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.live, self.count = QCheckBox("Live"), QSpinBox()
        self.live.setChecked(True)
        self.count.setRange(1, _MOST)
        self.count.setValue(6)
        self.count.setKeyboardTracking(False)
        self.search_button = QPushButton("Search")
        self.lock_button, self.lock, self.modality = QPushButton("Lock"), LayerChoice("nothing stays"), QComboBox()
        self.refine_button, self.strength = QPushButton("Refine"), QDoubleSpinBox()
        for choice in (self.lock, self.modality):
            narrow(choice)
        self.strength.setRange(0.05, 1.0)
        self.strength.setSingleStep(0.05)
        self.strength.setValue(_STRENGTH)
        self._searching = False

        rows = [
            (self.lock_button, self.lock, self.modality),
            (self.live, QLabel("Candidates"), self.count, self.search_button),
            (QLabel("Beyond the model, by"), self.strength, self.refine_button),
        ]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widgets in rows:
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(
                    widget, 1 if widget in (self.lock, self.modality, self.search_button, self.refine_button) else 0
                )
            layout.addLayout(row)

        self.count.valueChanged.connect(lambda _: self.changed.emit())
        self.live.toggled.connect(lambda _: self.changed.emit())
        self.modality.activated.connect(lambda _: self.changed.emit())
        self.search_button.clicked.connect(self._on_search)
        self.lock_button.clicked.connect(self.lock_wanted.emit)
        self.lock.chosen.connect(self.lock_chosen.emit)
        self.refine_button.clicked.connect(lambda: self.refine_wanted.emit(self.strength.value()))

    @property
    def locked_modality(self) -> str | None:
        """The one modality that shall stay; None for all."""
        return self.modality.currentText() if self.modality.currentIndex() > 0 else None

    def show_modalities(self, names: Sequence[str]) -> None:
        """Offer what a model makes."""
        self.modality.clear()
        self.modality.addItems([_ALL, *names])

    def allow(self, why_not: str, nothing_asked: str, nothing_found: str, searching: bool) -> None:
        """Enable the controls, or say why they cannot be used.

        Parameters
        ----------
        why_not
            Why nothing can be done at all.
        nothing_asked, nothing_found
            Why there is nothing to search for, or to refine.
        searching
            Whether a search is going on.
        """
        self._searching = searching
        self.search_button.setText("Stop" if searching else "Search")
        tip = "End the search; the best so far stays" if searching else "Search from the beginning"
        allow(self.search_button, tip, why_not or ("" if searching else nothing_asked))
        allow(self.live, "Search a moment after each stroke", why_not)
        allow(self.count, "How many candidates are searched for", why_not)
        allow(self.lock_button, "Keep what is shown, where a second layer marks it, while the lesion changes", why_not)
        allow(self.lock, "The Labels layer that marks what stays", why_not)
        allow(self.modality, "What stays where it is marked", why_not)
        refining = "Go on from these candidates with changes inside the generator, for shapes that no latent makes; "
        refining += "what comes of it is less and less what the model has learnt"
        allow(self.refine_button, refining, why_not or nothing_found)
        allow(self.strength, "The largest change, as a share of the generator's own features", why_not or nothing_found)

    def _on_search(self) -> None:
        (self.stop_wanted if self._searching else self.search_wanted).emit()
