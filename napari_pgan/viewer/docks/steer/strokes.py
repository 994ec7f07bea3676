"""Detects strokes on a Labels layer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pgan.viewer.steering_search import Mouse

_DELAY = 50  # ms after a stroke; short, since a new stroke ends a search at once
_DRAWING_MODES = {"paint", "erase", "fill", "polygon"}


class StrokeListener(QObject):
    """Listens to one layer at a time.

    napari emits `paint` after a stroke, a fill and a change from Python, but not after an undo. It emits `set_data`
    after an undo, too, but also after much else. So `drawn` does not imply that the data have changed.

    Signals: `drawn()`, shortly after a possible change.

    Parameters
    ----------
    mouse
        Is pressed during a stroke.
    parent
        Qt parent.
    """

    drawn = Signal()

    def __init__(self, mouse: Mouse, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._mouse = mouse
        self._layer: Any = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY)
        self._timer.timeout.connect(self.drawn)
        self.schedule = self._timer.start  # emit `drawn` shortly

    def follow(self, layer: Any) -> None:
        """Listen to a layer, or to none, instead of the previous one."""
        if layer is self._layer:
            return
        previous, self._layer = self._layer, layer
        if previous is not None:
            for event in _events(previous):
                event.disconnect(self._on_change)
            with contextlib.suppress(ValueError):
                previous.mouse_drag_callbacks.remove(self._on_press)
        self._mouse.release()
        if layer is not None:
            for event in _events(layer):
                event.connect(self._on_change)
            layer.mouse_drag_callbacks.append(self._on_press)

    def stop(self) -> None:
        """Stop listening."""
        self._timer.stop()
        self.follow(None)

    def _on_change(self, _: Any = None) -> None:
        if not self._mouse.is_down:
            self._timer.start()

    def _on_press(self, layer: Any, event: Any) -> Iterator[None]:
        if str(layer.mode) not in _DRAWING_MODES:
            return
        self._timer.stop()
        self._mouse.press()
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self._mouse.release()
            self._timer.start()


def _events(layer: Any) -> tuple[Any, ...]:
    return layer.events.paint, layer.events.set_data, layer.events.data
