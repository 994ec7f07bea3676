"""Controls that explain why they are disabled."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget


def allow(widget: QWidget, tip: str, why_not: str = "") -> None:
    """Enable a control with its tooltip, or disable it with the reason as tooltip."""
    widget.setEnabled(not why_not)
    widget.setToolTip(why_not or tip)
