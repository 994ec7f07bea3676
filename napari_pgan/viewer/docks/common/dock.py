"""Base class of the docks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget


class Dock(QWidget):
    """A widget that stops its background work and disconnects from the viewer when napari closes it."""

    def __init__(self) -> None:
        super().__init__()
        self._cleanups: list[Callable[[], None]] = []

    def listen(self, signal: Any, slot: Callable[..., None]) -> None:
        """Connect to a signal of an object that outlives the dock."""
        signal.connect(slot)
        self._cleanups.append(lambda: signal.disconnect(slot))

    def at_close(self, *functions: Callable[[], None]) -> None:
        """Call functions when the dock is closed."""
        self._cleanups += functions

    def changeEvent(self, event: QEvent | None) -> None:
        """Clean up when napari, which keeps the widget of a closed dock, takes away its parent."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            while self._cleanups:
                self._cleanups.pop()()
