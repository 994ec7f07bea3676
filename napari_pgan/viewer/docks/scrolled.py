"""A column of controls that scrolls up and down where the window is low, and is never cut at its side."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget


class Scrolled(QScrollArea):
    """Scrolls a widget, and is as wide as that needs.

    Parameters
    ----------
    inside
        The widget.
    """

    def __init__(self, inside: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(inside)
        inside.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Follow what the widget needs."""
        inside = self.widget()
        if watched is inside and inside is not None and event is not None and event.type() == QEvent.Type.LayoutRequest:
            bar = self.verticalScrollBar()
            self.setMinimumWidth(inside.minimumSizeHint().width() + (bar.sizeHint().width() if bar is not None else 0))
        return super().eventFilter(watched, event)
