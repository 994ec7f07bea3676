"""Files that are dropped on a widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget


class FileDrop(QObject):
    """Lets a widget take one file of a kind that it knows; anything else is left to the window.

    Parameters
    ----------
    widget
        Where files may be dropped.
    openers
        How names end, such as ``.npz`` → what is called with the file's path.
    """

    def __init__(self, widget: QWidget, openers: Mapping[str, Callable[[str], None]]) -> None:
        super().__init__(widget)
        self._openers = openers
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take what is of a known kind."""
        if not isinstance(event, QDropEvent) or event.type() not in (QEvent.Type.DragEnter, QEvent.Type.Drop):
            return super().eventFilter(watched, event)
        file = _file(event)
        opener = self._openers.get(Path(file).suffix.lower())
        if opener is None:
            event.ignore()
            return True
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            opener(file)
        return True


def _file(event: QDropEvent) -> str:
    data = event.mimeData()
    files = [url.toLocalFile() for url in data.urls()] if data is not None else []
    return files[0] if len(files) == 1 else ""
