"""Long work on layers in small steps, between which the event loop runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qtpy.QtCore import QObject, QTimer


class Stepper(QObject):
    """Drives one iterator at a time, a step a turn of the event loop; of those that wait, only the newest counts."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._present: tuple[Iterator[None], Callable[[], None]] | None = None
        self._next: tuple[Iterator[None], Callable[[], None]] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)

    def take(self, steps: Iterator[None], done: Callable[[], None]) -> None:
        """Take all steps, then call `done`; what needs no step is done before this returns."""
        if self._present is not None:
            self._next = (steps, done)
            return
        self._present = (steps, done)
        self._step()

    def stop(self) -> None:
        """Leave what is begun as it is."""
        self._timer.stop()
        self._present = self._next = None

    def _step(self) -> None:
        if self._present is None:
            self._timer.stop()
            return
        steps, done = self._present
        try:
            next(steps)
            self._timer.start()
        except StopIteration:
            self._finish()
            done()
        except BaseException:
            self._finish()
            raise

    def _finish(self) -> None:
        self._timer.stop()
        self._present = None
        if self._next is not None:
            following, self._next = self._next, None
            self.take(*following)
