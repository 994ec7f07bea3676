"""Forms that magicgui makes from annotated dataclasses.

A field becomes a row if its type is annotated with the options of its widget::

    @dataclass(frozen=True)
    class Options:
        live: Annotated[bool, {"label": "Live", "tooltip": "Search after each stroke"}] = True
        size: Annotated[int | None, {"label": "Size", "choices": [("automatic", None), ("64 × 64", 64)]}] = None
        truncation: Annotated[
            float,
            {"label": "Truncation", "widget_type": "FloatSlider", "min": 0.0, "max": 1.0, "reset": "Back to 1"},
        ] = 1.0

    form = Form(Options)
    form.changed.connect(lambda name, value: ...)  # a field has a new value
    form.show_values(Options(size=64))             # show values without emitting `changed`
    form.read()                                    # an Options
    form.allow("Open a model first")               # disable every row, with the reason as its tooltip
    form.allow("", size="The model defines it")    # enable the others with their own tooltips
    form.fields["size"]                            # the magicgui widget; its `native` is the Qt widget
    offer(form.fields["size"], [("32 × 32", 32)])  # other choices
    form.tips["size"] = "..."                      # another tooltip, shown by the next `allow`
    form.add("age", make_widget(Annotated[float, {...}], 50.0, "age"))  # a row at run time
    form.rows                                      # the QFormLayout, for a row that is no field

`make_widgets(Options)` returns the widgets alone, for another layout than a form. The options are those of magicgui
(`widget_type`, `min`, `max`, `step`, `choices`, `label`, `tooltip`) and:

- ``reset``: tooltip of a button beside the widget that restores the default (`Form` only);
- ``decimals``, ``suffix``, ``special``: of a spin box; ``special`` is the text at its minimum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from magicgui.types import Undefined
from magicgui.widgets import create_widget
from magicgui.widgets.bases import ButtonWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QFormLayout, QHBoxLayout, QPushButton, QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.sections import narrow

T = TypeVar("T")

_QT_SETTERS = {"decimals": "setDecimals", "suffix": "setSuffix", "special": "setSpecialValueText"}
_OWN_OPTIONS = {*_QT_SETTERS, "reset"}


def make_widget(annotation: Any, value: Any, name: str = "") -> Any:
    """Make the magicgui widget of one annotated type.

    Parameters
    ----------
    annotation
        ``Annotated[type, options]``, see the module.
    value
        Initial value.
    name
        Name of the widget; also its label if the options have none.
    """
    kind, given = get_args(annotation)
    options = {key: option for key, option in given.items() if key not in _OWN_OPTIONS}
    if "choices" in options:  # magicgui adds no choice "-----" for None, and emits None like any other value
        widget = create_widget(value, name=name, widget_type="ComboBox", options={**options, "nullable": False})
        widget.null_value = Undefined  # type: ignore[attr-defined]
    else:
        widget = create_widget(value, annotation=kind, name=name, options=options)
    native = widget.native
    if isinstance(native, QComboBox):
        narrow(native)
    if isinstance(native, QAbstractSpinBox):
        native.setKeyboardTracking(False)  # otherwise typing 12 also emits 1
    elif (readout := native.findChild(QAbstractSpinBox)) is not None:  # beside a slider
        width = readout.fontMetrics().horizontalAdvance(f" {options['max']:.2f} ")
        readout.setStyleSheet(readout.styleSheet() + f"padding: 0; min-width: 0; max-width: {width}px;")
    for option, setter in _QT_SETTERS.items():
        if option in given:
            getattr(native, setter)(given[option])
    return widget


def make_widgets(model: type[Any]) -> dict[str, Any]:
    """Make the widgets of a dataclass's annotated fields, by name, with the defaults as values."""
    hints, widgets = get_type_hints(model, include_extras=True), {}
    for field in fields(model):
        if get_origin(hints[field.name]) is Annotated:
            widgets[field.name] = make_widget(hints[field.name], field.default, field.name)
    return widgets


def show_value(widget: Any, value: Any) -> None:
    """Set a magicgui widget's value without emitting `changed`."""
    with widget.changed.blocked():
        widget.value = value


def offer(widget: Any, choices: Sequence[tuple[str, Any]]) -> None:
    """Set the (text, value) choices of a magicgui combo box without emitting `changed`."""
    with widget.changed.blocked():
        widget.choices = lambda _: choices  # a plain list would be lost when the widget gets another parent


class Form(QWidget, Generic[T]):
    """A form of the annotated fields of a dataclass.

    Signals: `changed(name, value)`.

    Parameters
    ----------
    model
        The dataclass.
    """

    changed = Signal(str, object)

    def __init__(self, model: type[T], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.fields: dict[str, Any] = {}
        self.reset_buttons: dict[str, QPushButton] = {}
        self.tips: dict[str, str] = {}
        self.rows = QFormLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        hints = get_type_hints(model, include_extras=True)
        for name, widget in make_widgets(model).items():
            self.add(name, widget, hints[name].__metadata__[0].get("reset", ""))

    def add(self, name: str, widget: Any, reset: str = "") -> None:
        """Append a row; `reset` is the tooltip of a button that restores the present value."""
        self.fields[name], self.tips[name] = widget, widget.tooltip or ""
        content: QWidget = widget.native
        if reset:
            button, default = QPushButton("Reset"), widget.value
            button.setToolTip(reset)
            button.clicked.connect(lambda: setattr(widget, "value", default))
            self.reset_buttons[name] = button
            content = QWidget()
            row = QHBoxLayout(content)
            row.setContentsMargins(0, 0, 0, 0)
            row.addWidget(widget.native, 1)
            row.addWidget(button)
        if isinstance(widget, ButtonWidget):  # a check box shows its own label
            self.rows.addRow(content)
        else:
            self.rows.addRow(widget.label, content)
        widget.changed.connect(lambda value: self.changed.emit(name, value))

    def read(self) -> T:
        """Return the values as an instance of the dataclass."""
        names = {field.name for field in fields(self._model)}  # type: ignore[arg-type]
        return self._model(**{name: widget.value for name, widget in self.fields.items() if name in names})

    def show_values(self, values: T) -> None:
        """Show the values of an instance without emitting `changed`."""
        for name, widget in self.fields.items():
            if hasattr(values, name):
                show_value(widget, getattr(values, name))

    def allow(self, why_not: str = "", **why_not_field: str) -> None:
        """Enable the rows and show their tooltips, or disable them and show the reason.

        Parameters
        ----------
        why_not
            The reason for all rows; empty if there is none.
        **why_not_field
            Field name → the reason for its row alone.
        """
        for name, widget in self.fields.items():
            reason = why_not or why_not_field.get(name, "")
            allow(widget.native, self.tips[name], reason)
            if name in self.reset_buttons:
                self.reset_buttons[name].setEnabled(not reason)
