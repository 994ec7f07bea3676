"""The box that says on which grid an exam or a cohort is prepared."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import narrow

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
