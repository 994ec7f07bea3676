"""The box that says how samples are made: truncation, count, size, and the model's own conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QPushButton, QSpinBox, QWidget
from superqt import QLabeledDoubleSlider

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.session import Settings

if TYPE_CHECKING:
    from napari_pgan.model import Condition, Model

MOST_SAMPLES = 64


class SettingsBox(QWidget):
    """Controls of the settings; those of conditions come and go with the model.

    Signals: `changed(dict)`, the settings that changed.
    """

    changed = Signal(dict)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.truncation = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.truncation.setRange(0.0, 1.0)
        self.truncation.setDecimals(2)
        self.truncation.setSingleStep(0.05)  # type: ignore[arg-type]  # it takes floats
        self.truncation.setValue(1.0)
        self.reset_button = QPushButton("Reset")
        self.count = QSpinBox()
        self.count.setRange(1, MOST_SAMPLES)
        self.count.setKeyboardTracking(False)
        self.size_choice = QComboBox()
        self._conditions: dict[str, QWidget] = {}
        self._setters: dict[str, Callable[[Any], None]] = {}
        self._values: dict[str, str | float] = {}

        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.truncation, 1)
        row.addWidget(self.reset_button)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.addRow("Truncation", row)
        self._form.addRow("Samples", self.count)
        self._form.addRow("Size", self.size_choice)

        self.truncation.valueChanged.connect(lambda value: self.changed.emit({"truncation": round(float(value), 4)}))
        self.reset_button.clicked.connect(lambda: self.truncation.setValue(1.0))
        self.count.valueChanged.connect(lambda value: self.changed.emit({"count": value}))
        self.size_choice.activated.connect(
            lambda index: self.changed.emit({"stage": self.size_choice.itemData(index) if index else None})
        )

    def show_model(self, model: Model) -> None:
        """Offer the sizes and conditions that a model has."""
        self.size_choice.clear()
        for stage in reversed(range(model.stages)):
            shape = " × ".join(str(n) for n in model.card.architecture.shape(stage))
            self.size_choice.addItem(shape, stage)
        for widget in self._conditions.values():
            self._form.removeRow(widget)
        self._conditions, self._setters, self._values = {}, {}, {}
        for condition in model.card.conditions:
            widget, setter = self._condition_widget(condition)
            self._conditions[condition.name], self._setters[condition.name] = widget, setter
            self._form.addRow(condition.name, widget)

    def show_settings(self, settings: Settings) -> None:
        """Show settings without saying that they changed."""
        self.blockSignals(True)
        self.truncation.setValue(settings.truncation)
        self.count.setValue(settings.count)
        self.size_choice.setCurrentIndex(0 if settings.stage is None else self.size_choice.findData(settings.stage))
        self._values = dict(settings.conditions)
        for name, value in settings.conditions.items():
            if name in self._setters:
                self._setters[name](value)
        self.blockSignals(False)

    def allow(self, why_not: str, why_no_count: str = "") -> None:
        """Enable the controls, or say why they cannot be used."""
        tip = "1 shows the whole variety; lower values draw all samples towards the average one"
        allow(self.truncation, tip, why_not)
        allow(self.reset_button, "Back to 1", why_not)
        allow(self.count, "How many samples; their seeds count on from the first", why_not or why_no_count)
        allow(self.size_choice, "Lower sizes are quicker and show the same image", why_not)
        for name, widget in self._conditions.items():
            allow(widget, f"What the model is told: {name}", why_not)

    def _condition_widget(self, condition: Condition) -> tuple[QWidget, Callable[[Any], None]]:
        if condition.levels:
            levels = QComboBox()
            levels.addItems(list(condition.levels))
            levels.activated.connect(lambda index: self._tell(condition.name, levels.itemText(index)))
            return levels, levels.setCurrentText
        slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        slider.setRange(*(condition.range or (0.0, 1.0)))
        slider.valueChanged.connect(lambda value: self._tell(condition.name, float(value)))
        return slider, slider.setValue

    def _tell(self, name: str, value: str | float) -> None:
        self._values = {**self._values, name: value}
        self.changed.emit({"conditions": self._values})
