"""Opens files that are dropped on a widget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget


class FileDrop(QObject):
    """Accepts a single dropped file with a known suffix; anything else goes to the window.

    Parameters
    ----------
    widget
        Receives the files.
    openers
        Suffix, such as ``.npz`` → function that is called with the path.
    """

    def __init__(self, widget: QWidget, openers: Mapping[str, Callable[[str], None]]) -> None:
        super().__init__(widget)
        self._openers = openers
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Accept files with a known suffix."""
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
