"""Form of the sampling settings: truncation, count, size and the conditions of the model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_pgan.viewer.docks.common.availability import allow
from napari_pgan.viewer.docks.common.forms import Form, make_widget, offer, show_value
from napari_pgan.viewer.session import Settings

if TYPE_CHECKING:
    from napari_pgan.model import Condition, Model


class SettingsBox(Form[Settings]):
    """Form of `Settings`, with one more row for each condition of the model.

    Signals: `settings_changed(dict)`, the changed settings.
    """

    settings_changed = Signal(dict)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Settings, parent)
        self.conditions: dict[str, Any] = {}  # name → widget
        self._values: dict[str, str | float] = {}
        self.changed.connect(self._on_changed)

    def show_model(self, model: Model) -> None:
        """Offer the sizes and conditions of a model."""
        sizes = [" × ".join(map(str, model.card.architecture.shape(stage))) for stage in range(model.stages)]
        stages: list[int | None] = [*range(model.stages - 1), None]  # None is the last one
        offer(self.fields["stage"], [*zip(sizes, stages, strict=True)][::-1])
        for widget in self.conditions.values():
            self.rows.removeRow(widget.native)
        self.conditions, self._values = {c.name: _condition_widget(c) for c in model.card.conditions}, {}
        for name, widget in self.conditions.items():
            self.rows.addRow(name, widget.native)
            widget.changed.connect(partial(self._on_condition, name))

    def show_settings(self, settings: Settings) -> None:
        """Show settings without emitting a change."""
        self.show_values(settings)
        self._values = dict(settings.conditions)
        for name, widget in self.conditions.items():
            if name in settings.conditions:
                show_value(widget, settings.conditions[name])

    def allow(self, why_not: str = "", **why_not_field: str) -> None:
        """Enable the rows, or disable them and show the reason."""
        super().allow(why_not, **why_not_field)
        for name, widget in self.conditions.items():
            allow(widget.native, f"Condition of the model: {name}", why_not)

    def _on_changed(self, name: str, value: Any) -> None:
        self.settings_changed.emit({name: round(value, 4) if name == "truncation" else value})

    def _on_condition(self, name: str, value: str | float) -> None:
        self._values = {**self._values, name: value}
        self.settings_changed.emit({"conditions": self._values})


def _condition_widget(condition: Condition) -> Any:
    if condition.levels:
        return make_widget(Annotated[str, {"choices": list(condition.levels)}], condition.levels[0])
    low, high = condition.range or (0.0, 1.0)
    return make_widget(Annotated[float, {"widget_type": "FloatSlider", "min": low, "max": high}], low)
