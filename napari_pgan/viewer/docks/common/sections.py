"""Headings in a dock, and a dock that scrolls where the screen is low."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QComboBox, QFrame, QLabel, QScrollArea, QWidget


def heading(text: str) -> QLabel:
    """A line in bold that begins a section."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; margin-top: 6px")
    return label


def narrow(choice: QComboBox, letters: int = 6) -> QComboBox:
    """A choice that does not widen the dock to its longest text."""
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    choice.setMinimumContentsLength(letters)
    return choice


class Tall(QScrollArea):
    """Scrolls up and down; never narrower than what is in it."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setWidget(widget)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Become wider where what is in it does."""
        if event is not None and watched is self.widget() and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:
        """As wide as the widget's own, and low."""
        widget, bar = self.widget(), self.verticalScrollBar()
        assert widget is not None
        assert bar is not None
        return QSize(widget.minimumSizeHint().width() + bar.sizeHint().width(), 120)
