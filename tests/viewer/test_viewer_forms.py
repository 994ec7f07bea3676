"""Forms that magicgui makes from annotated dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

pytestmark = pytest.mark.viewer


@dataclass(frozen=True)
class Options:
    live: Annotated[bool, {"label": "Live", "tooltip": "After each stroke"}] = True
    count: Annotated[int, {"label": "Samples", "min": 1, "max": 64}] = 1
    field: Annotated[float, {"min": 0, "max": 999, "step": 16.0, "decimals": 0, "suffix": " mm", "special": "any"}] = 0
    truncation: Annotated[
        float, {"widget_type": "FloatSlider", "min": 0.0, "max": 1.0, "step": 0.05, "reset": "Back to 1"}
    ] = 1.0
    size: Annotated[int | None, {"label": "Size", "tooltip": "Pixels", "choices": [("any", None), ("64", 64)]}] = None
    hidden: str = ""


@pytest.fixture
def form(qtbot: Any) -> Any:
    from napari_pgan.viewer.docks.common.forms import Form

    form = Form(Options)
    qtbot.addWidget(form)
    return form


@pytest.fixture
def changes(form: Any) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []
    form.changed.connect(lambda name, value: seen.append((name, value)))
    return seen


def test_a_form_has_the_annotated_fields_and_reads_them_back(form: Any, changes: list[tuple[str, Any]]) -> None:
    assert list(form.fields) == ["live", "count", "field", "truncation", "size"]
    assert form.read() == Options()
    values = Options(live=False, count=3, field=160.0, truncation=0.55, size=64)
    form.show_values(values)
    assert form.read() == values
    assert changes == []
    assert form.fields["field"].native.text() == "160 mm"


def test_changes_are_emitted_once_and_none_is_a_value(form: Any, changes: list[tuple[str, Any]]) -> None:
    form.fields["size"].native.setCurrentIndex(1)
    form.fields["size"].native.setCurrentIndex(0)
    form.fields["truncation"].value = 0.25
    form.reset_buttons["truncation"].click()
    form.fields["live"].native.click()
    assert changes == [("size", 64), ("size", None), ("truncation", 0.25), ("truncation", 1.0), ("live", False)]


def test_disabled_rows_show_the_reason_and_enabled_ones_their_tooltip(form: Any) -> None:
    form.allow("Open a model first")
    assert {widget.native.toolTip() for widget in form.fields.values()} == {"Open a model first"}
    assert not form.reset_buttons["truncation"].isEnabled()
    form.allow("", size="The model defines it")
    assert form.fields["live"].native.toolTip() == "After each stroke"
    assert form.fields["size"].native.toolTip() == "The model defines it"
    assert [name for name, widget in form.fields.items() if not widget.native.isEnabled()] == ["size"]


def test_choices_and_rows_can_change(form: Any, qtbot: Any, changes: list[tuple[str, Any]]) -> None:
    from qtpy.QtWidgets import QWidget

    from napari_pgan.viewer.docks.common.forms import make_widget, offer

    offer(form.fields["size"], [("32", None), ("16", 1)])
    other = QWidget()
    qtbot.addWidget(other)
    form.fields["size"].native.setParent(other)
    native = form.fields["size"].native
    assert [native.itemText(i) for i in range(native.count())] == ["32", "16"]
    form.add(
        "age", make_widget(Annotated[float, {"widget_type": "FloatSlider", "min": 20.0, "max": 80.0}], 50.0, "age")
    )
    form.fields["age"].value = 30.5
    assert changes == [("age", 30.5)]
    assert form.read().size is None
