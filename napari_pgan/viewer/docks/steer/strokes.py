"""Tells when a hand has drawn on a Labels layer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pgan.viewer.search import Hand

MOMENT = 50  # ms after the hand stops; more would only be waited for, since a new stroke ends a search at once
_DRAWS = {"paint", "erase", "fill", "polygon"}


class Strokes(QObject):
    """Listens to one layer at a time.

    napari says `paint` at the end of a stroke, of a fill and of a change from Python, but not of an undo; that it
    draws the layer anew is said of an undo, too, and of much else. So whoever listens must compare.

    Signals: `drawn()`, a moment after something may have changed.

    Parameters
    ----------
    hand
        Is put down while a button of the mouse is held, and lifted after.
    parent
        As Qt has it.
    """

    drawn = Signal()

    def __init__(self, hand: Hand, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._hand = hand
        self._layer: Any = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(MOMENT)
        self._timer.timeout.connect(self._on_time)

    def follow(self, layer: Any) -> None:
        """Listen to a layer, or to none, and no longer to the one before."""
        if layer is self._layer:
            return
        before, self._layer = self._layer, layer
        if before is not None:
            for event in (before.events.paint, before.events.set_data, before.events.data):
                event.disconnect(self._on_change)
            with contextlib.suppress(ValueError):
                before.mouse_drag_callbacks.remove(self._on_press)
        self._hand.up()
        if layer is not None:
            for event in (layer.events.paint, layer.events.set_data, layer.events.data):
                event.connect(self._on_change)
            layer.mouse_drag_callbacks.append(self._on_press)

    def soon(self) -> None:
        """Say `drawn` in a moment."""
        self._timer.start()

    def stop(self) -> None:
        """Listen to nothing any more."""
        self._timer.stop()
        self.follow(None)

    def _on_change(self, _: Any = None) -> None:
        if not self._hand.is_down:
            self._timer.start()

    def _on_press(self, layer: Any, event: Any) -> Iterator[None]:
        if str(layer.mode) not in _DRAWS:
            return
        self._timer.stop()
        self._hand.down()
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self._hand.up()
            self._timer.start()

    def _on_time(self) -> None:
        self.drawn.emit()
