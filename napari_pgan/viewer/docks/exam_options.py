"""The boxes that say on which grid, and by which steps, an exam or a cohort is prepared."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QWidget

from napari_pgan.viewer.docks.sections import narrow
from napari_pgan.viewer.docks.whynot import allow

SIZES = (32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256)
AXES = ("axial", "coronal", "sagittal")
_USUAL_SIZE = 128


class GridBox(QWidget):
    """Size, field of view and direction of slices; of an exam, also the loaded model's.

    Parameters
    ----------
    of_model
        Whether the grid may be that of the model; else size and direction may be left to the plan file.
    """

    def __init__(self, of_model: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.choice = narrow(QComboBox())
        self.choice.addItems(["that of the model", "my own"])
        self.pixels = narrow(QComboBox())
        self.field = QDoubleSpinBox()
        self.field.setRange(0, 999)
        self.field.setDecimals(0)
        self.field.setSingleStep(16)
        self.field.setSuffix(" mm")
        self.field.setSpecialValueText("automatic")
        self.axis = narrow(QComboBox())
        if not of_model:
            self.pixels.addItem("plan's, or 128", None)
            self.axis.addItem("plan's, or axial", None)
        for size in SIZES:
            self.pixels.addItem(f"{size} × {size}", size)
        for axis in AXES:
            self.axis.addItem(axis, axis)
        if of_model:
            self.pixels.setCurrentIndex(self.pixels.findData(_USUAL_SIZE))
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        if of_model:
            form.addRow("Grid", self.choice)
        form.addRow("Size", self.pixels)
        form.addRow("Field of view", self.field)
        form.addRow("Slices", self.axis)
        self._of_model = of_model
        self._why_no_model = "" if of_model else "-"
        self.choice.currentIndexChanged.connect(lambda _: self._allow())
        self.allow("Open a model in the dock Explore to take its grid" if of_model else "")

    @property
    def takes_model(self) -> bool:
        """Whether the model's grid is chosen, and there is one."""
        return self._of_model and not self._why_no_model and self.choice.currentIndex() == 0

    def allow(self, why_no_model: str, model_grid: str = "") -> None:
        """Say whether there is a model whose grid can be taken, and what that grid is."""
        self._why_no_model, self._model_grid = why_no_model, model_grid
        self._allow()

    @property
    def values(self) -> tuple[int | None, float | None, str | None]:
        """Size, field of view, direction; None is left to others."""
        return self.pixels.currentData(), self.field.value() or None, self.axis.currentData()

    def _allow(self) -> None:
        allow(self.choice, f"The loaded model's grid: {self._model_grid}", self._why_no_model if self._of_model else "")
        why_not = "The model says so; choose a grid of your own to change it" if self.takes_model else ""
        allow(self.pixels, "Pixels along each side of a slice", why_not)
        allow(self.field, "Millimetres along each side of a slice; 0 takes what the head needs", why_not)
        allow(self.axis, "Which way slices are cut", why_not)


class StepsBox(QWidget):
    """Registration, shading, skull, and for an exam the intensities.

    Signals: `changed()`.

    Parameters
    ----------
    exam
        Whether it is for an exam, whose modalities are known and which need not be normalised.
    """

    changed = Signal()

    def __init__(self, exam: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._exam = exam
        self.register = QCheckBox("Register to")
        self.register.setChecked(exam)
        self.reference = narrow(QComboBox())
        self.reference.setEditable(not exam)
        self.bias = QCheckBox("Take out shading")
        self.strip = QCheckBox("Keep the brain alone")
        self.normalise = QCheckBox("Normalise to −1 … 1")
        self.normalise.setChecked(True)
        row = QHBoxLayout()
        row.addWidget(self.register)
        row.addWidget(self.reference, 1)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(row)
        form.addRow(self.bias)
        form.addRow(self.strip)
        if exam:
            form.addRow(self.normalise)
        else:
            self.reference.addItems(["", "t1", "t1ce", "t2", "flair"])
            line = self.reference.lineEdit()
            assert line is not None
            line.setPlaceholderText("the cohort's own")
        for box in (self.register, self.bias, self.strip):
            box.toggled.connect(self._on_change)
        self.reference.currentTextChanged.connect(self._on_change)
        self.bias.setToolTip("Divide each image by the smooth field of the coil (N4)")
        self.strip.setToolTip("Find the brain with the shipped template, in the reference first")
        self.normalise.setToolTip("As in a store: background −1, the brightest of the head 1; models need it")
        self._allow()

    def offer(self, modalities: Sequence[str]) -> None:
        """Offer modalities as the reference; the one chosen stays while it is among them, else the first that is T1."""
        before = self.reference.currentText()
        if [self.reference.itemText(i) for i in range(self.reference.count())] == list(modalities):
            return
        self.reference.blockSignals(True)
        self.reference.clear()
        self.reference.addItems(list(modalities))
        preferred = before if before in modalities else "t1"
        self.reference.setCurrentIndex(max(0, self.reference.findText(preferred)))
        self.reference.blockSignals(False)
        self._on_change()

    def _on_change(self, _: object = None) -> None:
        self._allow()
        self.changed.emit()

    def _allow(self) -> None:
        self.register.setToolTip("Move each modality to where it agrees with the reference, and resample it once")
        needed = self.register.isChecked() or self.strip.isChecked() or self._exam
        why_not = "" if needed else "Tick Register or Keep the brain alone: both begin with it"
        allow(self.reference, "The modality that stays where it is, and that the brain is sought in first", why_not)
