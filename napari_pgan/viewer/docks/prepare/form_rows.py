"""Helpers for forms: options of a field, other choices, and rows with several widgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_pgan.viewer.docks.common.forms import Form, offer, show_value


def options(label: str, tooltip: str, **others: Any) -> dict[str, Any]:
    """Options of an annotated field."""
    return {"label": label, "tooltip": tooltip, **others}


def choice(label: str, tooltip: str, *choices: tuple[str, Any]) -> dict[str, Any]:
    """Options of a field with (text, value) choices."""
    return options(label, tooltip, choices=choices)


def replace_choices(field: Any, choices: Sequence[tuple[str, Any]], preferred: Any = None) -> None:
    """Replace a combo box's choices without emitting `changed`.

    The value is preserved if it is still a choice; otherwise it becomes `preferred`, or the first choice.
    """
    before, values = field.value, [value for _, value in choices]
    offer(field, [])  # otherwise magicgui appends new choices to those that remain
    offer(field, choices)
    if chosen := [value for value in (before, preferred, *values) if value in values]:
        show_value(field, chosen[0])


def put_beside(form: Form[Any], name: str, widget: QWidget, *, wide: bool = False) -> None:
    """Put a Qt widget to the right of a field; `wide` gives it the free width."""
    field = form.fields[name].native
    position, _ = form.rows.getWidgetPosition(field)  # type: ignore[misc]
    label = form.rows.takeRow(position).labelItem
    row = QHBoxLayout()
    row.addWidget(field, not wide)
    row.addWidget(widget, wide)
    if label is None:  # a check box
        form.rows.insertRow(position, row)
    else:
        form.rows.insertRow(position, label.widget(), row)
