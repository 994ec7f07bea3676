"""Form that chooses how two images of an exam are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from qtpy.QtWidgets import QAbstractSpinBox, QHBoxLayout, QRadioButton, QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.forms import Form, show_value
from napari_pgan.viewer.docks.prepare.form_rows import choice, options, replace_choices

_NARROW = "min-width: 30px; max-width: 30px"  # of a readout; napari makes it wider than the slider
CHEQUERBOARD, SWIPE = "Chequerboard", "Swipe"


@dataclass(frozen=True)
class ComparisonOptions:
    """What is compared, and how; `field` is in millimetres, `position` in percent."""

    part: Annotated[
        str | None, choice("Show", "The reference and a registered image, or the atlas and the reference", ("", None))
    ] = None
    mode: Annotated[
        str, choice("As", "Alternating fields, or one image over the other", *((m, m) for m in (CHEQUERBOARD, SWIPE)))
    ] = CHEQUERBOARD
    field: Annotated[int, options("Field, mm", "Size of the fields", widget_type="Slider", min=5, max=60)] = 24
    position: Annotated[int, options("Position, %", "Edge between the images", widget_type="Slider", max=100)] = 50


class CompareForm(Form[ComparisonOptions]):
    """The compared pair, before or after registration, the mode, and the mode's slider."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(ComparisonOptions, parent)
        self.before, self.after = QRadioButton("Before"), QRadioButton("After")
        self.after.setChecked(True)
        times = QHBoxLayout()
        times.addWidget(self.before)
        times.addWidget(self.after)
        times.addStretch(1)
        self.rows.insertRow(1, "", times)
        for slider in ("field", "position"):
            self.fields[slider].native.findChild(QAbstractSpinBox).setStyleSheet(_NARROW)
        self.after.toggled.connect(lambda on: self.changed.emit("after", on))
        self.fields["mode"].changed.connect(self._show_slider)
        self._show_slider(CHEQUERBOARD)
        self.allow("Preview an exam first")

    def set_pairs(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Set the (text, part) choices, and choose the first if it is new, such as a new atlas."""
        part = self.fields["part"]
        is_new = bool(pairs) and pairs[0][1] not in part.choices
        replace_choices(part, pairs)
        if is_new:
            show_value(part, pairs[0][1])
        self.allow()

    def allow(self, why_not: str = "", **why_not_field: str) -> None:
        """Also enable or disable the choice between before and after."""
        super().allow(why_not, **why_not_field)
        allow(self.before, "Where the headers place the image", why_not)
        allow(self.after, "Where the registration places the image", why_not)

    def _show_slider(self, mode: str) -> None:
        self.rows.setRowVisible(self.fields["field"].native, mode == CHEQUERBOARD)
        self.rows.setRowVisible(self.fields["position"].native, mode == SWIPE)
