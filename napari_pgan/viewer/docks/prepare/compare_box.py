"""The box that lays two modalities of an exam into one picture, before and after."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QRadioButton, QWidget
from superqt import QLabeledDoubleSlider

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import narrow

_RANGES = {"Chequerboard": (5.0, 60.0, 24.0), "Swipe": (0.0, 100.0, 50.0)}
_WORDS = {"Chequerboard": "Field, mm", "Swipe": "Until, %"}


class CompareBox(QWidget):
    """Which modality beside the reference, before or after, how, and a slider.

    Signals: `changed()`.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.modality = narrow(QComboBox())
        self.before, self.after = QRadioButton("Before"), QRadioButton("After")
        self.after.setChecked(True)
        self.how = narrow(QComboBox())
        self.how.addItems(list(_RANGES))
        self.slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.slider.setDecimals(0)
        self._values = {how: middle for how, (_, _, middle) in _RANGES.items()}
        when = QHBoxLayout()
        when.addWidget(self.before)
        when.addWidget(self.after)
        when.addStretch(1)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.addRow("Show", self.modality)
        self._form.addRow("", when)
        self._form.addRow("As", self.how)
        self._form.addRow("Field, mm", self.slider)
        self._set_range()
        self.modality.activated.connect(lambda _: self.changed.emit())
        self.after.toggled.connect(lambda _: self.changed.emit())
        self.how.currentTextChanged.connect(self._on_how)
        self.slider.valueChanged.connect(self._on_slide)
        self.allow("Preview an exam first")

    @property
    def is_swipe(self) -> bool:
        return self.how.currentText() == "Swipe"

    def offer(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Show which images can stand beside each other, each pair with its name.

        The one chosen stays, unless the first is new, such as an atlas that was just chosen.
        """
        chosen = self.modality.currentData()
        if pairs and self.modality.findData(pairs[0][1]) < 0:
            chosen = pairs[0][1]
        self.modality.clear()
        for text, part in pairs:
            self.modality.addItem(text, part)
        self.modality.setCurrentIndex(max(0, self.modality.findData(chosen)))
        self.allow("")

    def allow(self, why_not: str) -> None:
        """Enable the controls, or say why they cannot be used."""
        allow(
            self.modality,
            "The reference and what was moved onto it, or the atlas and the reference",
            why_not,
        )
        allow(self.before, "Where the headers place it", why_not)
        allow(self.after, "Where it was registered to", why_not)
        allow(self.how, "In fields by turns, or one wiped over the other", why_not)
        allow(self.slider, "How large the fields are, or how far the reference reaches", why_not)

    def _on_slide(self, value: float) -> None:
        self._values[self.how.currentText()] = float(value)
        self.changed.emit()

    def _on_how(self, _: str) -> None:
        self._set_range()
        self.changed.emit()

    def _set_range(self) -> None:
        how = self.how.currentText()
        low, high, _ = _RANGES[how]
        self.slider.blockSignals(True)
        self.slider.setRange(low, high)
        self.slider.setValue(self._values[how])
        self.slider.blockSignals(False)
        label = self._form.labelForField(self.slider)
        if label is not None:
            label.setText(_WORDS[how])
