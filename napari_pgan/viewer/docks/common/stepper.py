"""Long work on layers in small steps, with the event loop running in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qtpy.QtCore import QObject, QTimer


class Stepper(QObject):
    """Runs one iterator at a time, one step per turn of the event loop; only the newest waiting one is kept."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._current: tuple[Iterator[None], Callable[[], None]] | None = None
        self._pending: tuple[Iterator[None], Callable[[], None]] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)

    @property
    def is_busy(self) -> bool:
        """Whether steps remain."""
        return self._current is not None

    def run(self, steps: Iterator[None], done: Callable[[], None]) -> None:
        """Run all steps, then call `done`; the first step runs before this returns."""
        if self._current is not None:
            self._pending = (steps, done)
            return
        self._current = (steps, done)
        self._step()

    def stop(self) -> None:
        """Drop all remaining steps."""
        self._timer.stop()
        self._current = self._pending = None

    def _step(self) -> None:
        if self._current is None:
            self._timer.stop()
            return
        steps, done = self._current
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
        self._current = None
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self.run(*pending)
