"""Controls that say why they cannot be used."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget


def allow(widget: QWidget, tip: str, why_not: str = "") -> None:
    """Enable a control and show its tip, or, where there is a reason against it, disable it and show the reason."""
    widget.setEnabled(not why_not)
    widget.setToolTip(why_not or tip)
