"""Controls of the search: automatic or on demand, number of candidates, lock and refinement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.forms import make_widgets, offer
from napari_pgan.viewer.docks.steer.drawing_box import LayerChoice

_ALL = "all modalities"


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search; the tooltips explain them."""

    modality: Annotated[
        str | None, {"tooltip": "Modality that stays where the lock marks it", "choices": [(_ALL, None)]}
    ] = None
    live: Annotated[bool, {"label": "Live", "tooltip": "Search shortly after each stroke"}] = True
    count: Annotated[int, {"tooltip": "How many candidates to search for", "min": 1, "max": 24}] = 6
    strength: Annotated[
        float,
        {
            "tooltip": "Largest change, relative to the features of the generator",
            "min": 0.05,
            "max": 1.0,
            "step": 0.05,
            "decimals": 2,
        },
    ] = 0.3


class SearchBox(QWidget):
    """Buttons and options of a search.

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
        self.fields = make_widgets(SearchOptions)
        self._tips = {name: widget.tooltip for name, widget in self.fields.items()}
        self.search_button, self.lock_button = QPushButton("Search"), QPushButton("Lock")
        self.refine_button, self.lock = QPushButton("Refine"), LayerChoice("nothing stays")
        self._searching = False

        native = {name: widget.native for name, widget in self.fields.items()}
        wide = (self.lock, native["modality"], self.search_button, self.refine_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widgets in (
            (self.lock_button, self.lock, native["modality"]),
            (native["live"], QLabel("Candidates"), native["count"], self.search_button),
            (QLabel("Beyond the model, by"), native["strength"], self.refine_button),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget, int(widget in wide))
            layout.addLayout(row)

        for name in ("count", "live", "modality"):
            self.fields[name].changed.connect(lambda _: self.changed.emit())
        self.search_button.clicked.connect(lambda: (self.stop_wanted if self._searching else self.search_wanted).emit())
        self.lock_button.clicked.connect(self.lock_wanted.emit)
        self.lock.chosen.connect(self.lock_chosen.emit)
        self.refine_button.clicked.connect(lambda: self.refine_wanted.emit(self.options.strength))

    @property
    def options(self) -> SearchOptions:
        """The present options."""
        return SearchOptions(**{name: widget.value for name, widget in self.fields.items()})

    def show_modalities(self, names: Sequence[str]) -> None:
        """Offer the modalities of a model for the lock."""
        offer(self.fields["modality"], [(_ALL, None), *((name, name) for name in names)])

    def allow(self, why_not: str, no_target: str, no_candidates: str, searching: bool) -> None:
        """Enable the controls, or disable them and show the reason.

        Parameters
        ----------
        why_not
            The reason for all controls.
        no_target, no_candidates
            The reason why there is nothing to search for, or nothing to refine.
        searching
            Whether a search is running.
        """
        self._searching = searching
        self.search_button.setText("Stop" if searching else "Search")
        tip = "End the search; the best candidates stay" if searching else "Start a new search"
        allow(self.search_button, tip, why_not or ("" if searching else no_target))
        allow(self.lock_button, "Keep the image, where a second layer marks it, while the lesion changes", why_not)
        allow(self.lock, "Labels layer that marks what stays", why_not)
        refining = "Continue from these candidates with changes inside the generator, for shapes that no latent gives; "
        refining += "the result departs from what the model has learnt"
        allow(self.refine_button, refining, why_not or no_candidates)
        for name, widget in self.fields.items():
            allow(widget.native, self._tips[name], why_not or (no_candidates if name == "strength" else ""))
