"""Form of a target given as numbers: areas, shares of the lesion, a side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_pgan.viewer.docks.common.forms import make_widget

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetAreas
    from napari_pgan.model import Model

_ANY = "any"


class TargetBox(QWidget):
    """A row for each label and for the whole lesion; "any" leaves a number open.

    Signals: `changed()`.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model: Model | None = None
        self.areas: dict[int, Any] = {}  # label value → widget
        self.shares: dict[int, Any] = {}
        self.lesion: Any = None
        self.side: Any = None
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(4, 4, 4, 4)
        self._grid.setVerticalSpacing(2)

    def show_model(self, model: Model) -> None:
        """Offer the labels of a model."""
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        self._model = model
        grid, labels = model.card.grid, model.card.channels.labels
        step, whole = 10 * grid.pixel_area, grid.pixel_area * grid.shape[-1] * grid.shape[-2]
        self.areas = {label.value: _number(whole, step) for label in labels}
        self.shares = {label.value: _number(100, 5) for label in labels}
        self.lesion, sides = _number(whole, step), [(f"{_ANY} side", None), ("left", "left"), ("right", "right")]
        tip = "Of the patient" if grid.orientation else "Of the picture"
        self.side = make_widget(Annotated[str | None, {"choices": sides, "tooltip": tip}], None)
        self.side.native.setEnabled(grid.lateral_axis is not None)
        names = [f'<span style="color:{label.color}">■</span> {label.name}' for label in labels]
        numbers = [*zip(self.areas.values(), self.shares.values(), strict=True), (self.lesion, self.side)]
        for column, text in enumerate(("", f"area, {grid.area_unit}", "share of all, %")):
            self._grid.addWidget(QLabel(text), 0, column)
        for row, (name, widgets) in enumerate(zip([*names, "all together"], numbers, strict=True), 1):
            self._grid.addWidget(QLabel(name), row, 0)
            for column, widget in enumerate(widgets, 1):
                self._grid.addWidget(widget.native, row, column)
                widget.changed.connect(lambda _: self.changed.emit())

    def read(self) -> TargetAreas:
        """Return the target.

        Raises
        ------
        InputError
            No number is given, or the numbers contradict each other.
        """
        from napari_pgan.latent.steering import TargetAreas

        assert self._model is not None
        card = self._model.card
        return TargetAreas(
            card.channels,
            card.grid,
            {value: widget.value for value, widget in self.areas.items() if widget.value >= 0},
            self.lesion.value if self.lesion.value >= 0 else None,
            {value: widget.value / 100 for value, widget in self.shares.items() if widget.value >= 0},
            self.side.value,
        )


def _number(maximum: float, step: float) -> Any:
    """A spin box that shows "any" at its minimum, −1."""
    options = {"min": -1.0, "max": maximum, "step": step, "decimals": 0, "special": _ANY}
    return make_widget(Annotated[float, options], -1.0)
