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

_BETWEEN = 0.2  # seconds between two looks for the stop file


class Interrupted(BaseException):
    """A signal came while work was done that may be broken off; no ``except Exception`` swallows it."""


class Requests:
    """Hears signals; a context that puts their former handlers back at its end.

    A signal is remembered until the training asks for it, since a step or a checkpoint must not be broken off; but work
    within `broken_off` ends at once. Ctrl-C a second time ends everything at once.

    Parameters
    ----------
    run
        Whose stop file is looked for.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.number: int | None = None
        self._stop_file = self._breakable = False
        self._looked = -_BETWEEN

    def __enter__(self) -> Requests:
        self._before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._hear) for s in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def came(self) -> bool:
        """Whether somebody asked to stop."""
        now = time.monotonic()
        if now - self._looked > _BETWEEN:
            self._looked = now
            self._stop_file = self._stop_file or self.run.asked_to_stop()
        return self._stop_file or self.number is not None

    @contextlib.contextmanager
    def broken_off(self) -> Iterator[None]:
        """Work that a signal may end anywhere, by `Interrupted`: what it leaves must be of no harm."""
        self._breakable = True
        try:
            if self.number is not None:
                raise Interrupted
            yield
        finally:
            self._breakable = False

    def farewell(self, where: str) -> BaseException:
        """What to raise once the state is on the disk; `where` follows the word "stopped"."""
        if self.number == signal.SIGINT:
            return KeyboardInterrupt()
        return Stopped(f"stopped {where}", 0 if self.number is None else 128 + self.number)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return  # schedulers send SIGTERM more than once
        self.number = number
        if self._breakable:
            raise Interrupted
