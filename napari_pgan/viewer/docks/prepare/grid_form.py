"""Forms for the grid of a prepared exam or cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from qtpy.QtWidgets import QWidget

from napari_pgan.viewer.docks.common.forms import Form
from napari_pgan.viewer.docks.prepare.form_rows import choice, options

DEFAULT_SIZE = 128
_SIZES = [(f"{n} × {n}", n) for n in (32, 48, 64, 80, 96, 112, DEFAULT_SIZE, 160, 192, 224, 256)]
_AXES = [(axis, axis) for axis in ("axial", "coronal", "sagittal")]
_SIZE = ("Size", "Pixels along each side of a slice")
_AXIS = ("Slices", "Slice orientation")
_FIELD = options("Field of view", "Millimetres along each side of a slice; 0 fits the head", min=0.0, max=999.0)
_FIELD |= {"step": 16.0, "decimals": 0, "suffix": " mm", "special": "automatic"}


@dataclass(frozen=True)
class CohortGrid:
    """The grid of a cohort; None leaves a value to the plan or the command, and 0 mm fits the heads."""

    size: Annotated[int | None, choice(*_SIZE, ("plan or 128", None), *_SIZES)] = None
    field_of_view: Annotated[float, _FIELD] = 0.0
    axis: Annotated[str | None, choice(*_AXIS, ("plan or axial", None), *_AXES)] = None


@dataclass(frozen=True)
class ExamGrid:
    """The grid of an exam: the loaded model's, or a custom one."""

    of_model: Annotated[bool, choice("Grid", "", ("model's grid", True), ("custom", False))] = True
    size: Annotated[int, choice(*_SIZE, *_SIZES)] = DEFAULT_SIZE
    field_of_view: Annotated[float, _FIELD] = 0.0
    axis: Annotated[str, choice(*_AXIS, *_AXES)] = "axial"


class ExamGridForm(Form[ExamGrid]):
    """The grid of an exam; the custom values are disabled while the model's grid is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(ExamGrid, parent)
        self._has_model = False
        self.changed.connect(lambda *_: self._update())
        self.set_model_grid("")

    @property
    def uses_model(self) -> bool:
        """Whether the model's grid is chosen and a model is loaded."""
        return self._has_model and self.fields["of_model"].value

    def set_model_grid(self, description: str) -> None:
        """Set the description of the loaded model's grid; empty if no model is loaded."""
        self._has_model = bool(description)
        self.tips["of_model"] = f"The loaded model's grid: {description}"
        self._update()

    def _update(self) -> None:
        no_model = "" if self._has_model else "Open a model in the Explore dock to use its grid"
        fixed = "The model defines this value; choose a custom grid to change it" if self.uses_model else ""
        self.allow(of_model=no_model, size=fixed, field_of_view=fixed, axis=fixed)
