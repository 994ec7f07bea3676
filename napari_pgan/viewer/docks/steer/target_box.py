"""The box that asks in numbers: areas, shares of the lesion, a side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QWidget

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetAreas
    from napari_pgan.model import Model

_ANY = "any"
_SIDES = ("left", "right")


class TargetBox(QWidget):
    """A row for each label and for the lesion; what is left at "any" is not asked for.

    Signals: `changed()`.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model: Model | None = None
        self.areas: dict[int, QDoubleSpinBox] = {}
        self.shares: dict[int, QDoubleSpinBox] = {}
        self.lesion = QDoubleSpinBox()
        self.side = QComboBox()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(4, 4, 4, 4)
        self._grid.setVerticalSpacing(2)

    def show_model(self, model: Model) -> None:
        """Offer the labels that a model has."""
        while self._grid.count():
            item = self._grid.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.deleteLater()
        self._model, self.areas, self.shares = model, {}, {}
        grid = model.card.grid
        unit, whole = grid.area_unit, grid.pixel_area * grid.shape[-1] * grid.shape[-2]
        for column, text in enumerate(("", f"area, {unit}", "share of all, %")):
            self._grid.addWidget(QLabel(text), 0, column)
        for row, label in enumerate(model.card.channels.labels, 1):
            self._grid.addWidget(QLabel(f'<span style="color:{label.color}">■</span> {label.name}'), row, 0)
            self.areas[label.value] = _spin(whole, 10 * grid.pixel_area)
            self.shares[label.value] = _spin(100, 5)
            self._grid.addWidget(self.areas[label.value], row, 1)
            self._grid.addWidget(self.shares[label.value], row, 2)
        last = len(model.card.channels.labels) + 1
        self.lesion, self.side = _spin(whole, 10 * grid.pixel_area), QComboBox()
        self.side.addItems([f"{_ANY} side", *_SIDES])
        self.side.setEnabled(grid.lateral_axis is not None)
        self.side.setToolTip("Of the patient" if grid.orientation else "Of the picture")
        self._grid.addWidget(QLabel("all together"), last, 0)
        self._grid.addWidget(self.lesion, last, 1)
        self._grid.addWidget(self.side, last, 2)
        for spin in (*self.areas.values(), *self.shares.values(), self.lesion):
            spin.valueChanged.connect(lambda _: self.changed.emit())
        self.side.activated.connect(lambda _: self.changed.emit())

    def asked(self) -> TargetAreas:
        """What is asked for.

        Raises
        ------
        InputError
            Nothing, or what cannot be.
        """
        from napari_pgan.latent.steering import TargetAreas

        assert self._model is not None
        card = self._model.card
        return TargetAreas(
            card.channels,
            card.grid,
            {value: spin.value() for value, spin in self.areas.items() if spin.value() >= 0},
            self.lesion.value() if self.lesion.value() >= 0 else None,
            {value: spin.value() / 100 for value, spin in self.shares.items() if spin.value() >= 0},
            _SIDES[self.side.currentIndex() - 1] if self.side.currentIndex() > 0 else None,  # type: ignore[arg-type]
        )


def _spin(most: float, step: float) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setDecimals(0)
    spin.setRange(-1, most)
    spin.setSingleStep(step)
    spin.setSpecialValueText(_ANY)  # shown at -1
    spin.setValue(-1)
    spin.setKeyboardTracking(False)
    return spin
