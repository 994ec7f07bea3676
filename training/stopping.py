"""Requests to stop a training: SIGTERM, Ctrl-C, or a file named ``stop`` in the run folder."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from napari_pgan.errors import Stopped
from napari_pgan.training.run_folder import Run

_INTERVAL = 0.2  # seconds between two checks for the stop file


class Interrupted(BaseException):
    """A signal arrived during interruptible work. Not an Exception, so that no ``except Exception`` catches it."""


class StopRequests:
    """Signals and the stop file; a context manager that restores the former signal handlers.

    A step or a checkpoint must not be interrupted, so a signal is stored until the training asks for it with `pending`.
    Work within `interruptible` ends at once, and a second Ctrl-C ends everything at once.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.signal_number: int | None = None
        self._stop_file = self._interruptible = False
        self._checked = -_INTERVAL

    def __enter__(self) -> StopRequests:
        self._former_handlers: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._former_handlers = {s: signal.signal(s, self._handle) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for number, handler in self._former_handlers.items():
            signal.signal(number, handler)

    def pending(self) -> bool:
        """Tell whether the training should stop."""
        now = time.monotonic()
        if now - self._checked > _INTERVAL:
            self._checked = now
            self._stop_file = self._stop_file or self.run.take_stop_file()
        return self._stop_file or self.signal_number is not None

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Context manager for work that a signal may interrupt at any point, by raising `Interrupted`."""
        self._interruptible = True
        try:
            if self.signal_number is not None:
                raise Interrupted
            yield
        finally:
            self._interruptible = False

    def exception(self, where: str) -> BaseException:
        """Return the exception to raise once the state is on the disk; `where` follows the word "stopped"."""
        if self.signal_number == signal.SIGINT:
            return KeyboardInterrupt()
        return Stopped(f"stopped {where}", 0 if self.signal_number is None else 128 + self.signal_number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return  # some schedulers send SIGTERM repeatedly
        self.signal_number = number
        if self._interruptible:
            raise Interrupted
