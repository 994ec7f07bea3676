"""Model files that are dropped on a widget."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget

SUFFIX = ".safetensors"


class FileDrop(QObject):
    """Lets a widget take one model file; anything else is left to the window.

    Parameters
    ----------
    widget
        Where files may be dropped.
    opened
        Called with the file's path.
    """

    def __init__(self, widget: QWidget, opened: Callable[[str], None]) -> None:
        super().__init__(widget)
        self._opened = opened
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take what is a model file."""
        if not isinstance(event, QDropEvent) or event.type() not in (QEvent.Type.DragEnter, QEvent.Type.Drop):
            return super().eventFilter(watched, event)
        file = _model_file(event)
        if not file:
            event.ignore()
            return True
        event.acceptProposedAction()
        if event.type() == QEvent.Type.Drop:
            self._opened(file)
        return True


def _model_file(event: QDropEvent) -> str:
    data = event.mimeData()
    files = [url.toLocalFile() for url in data.urls()] if data is not None else []
    return files[0] if len(files) == 1 and files[0].lower().endswith(SUFFIX) else ""
