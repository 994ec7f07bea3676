"""Background work of which only the newest request counts.

napari's workers use a thread for each call and napari keeps a record of each while it runs; dragging a slider makes
hundreds of calls. A `Renderer` has one thread, which serves the newest request and drops superseded ones. The work may
be a generator: each item that it yields is a result.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, Signal, Slot

Progress = Callable[[int, int], None]
_IDLE = 10.0  # seconds that an idle thread waits before it ends
_EXIT_TIMEOUT = 60.0  # seconds to wait for running work when the interpreter ends
_EXHAUSTED = object()  # the result of a generator after its last item


class Superseded(Exception):
    """Raised inside work whose result is no longer wanted."""


@dataclass(frozen=True, eq=False)
class _Task:
    number: int
    work: Callable[[Progress], Any]
    done: Callable[[Any], None]


class _Thread:
    """A thread with a queue of length one; does not depend on Qt."""

    def __init__(
        self,
        on_finished: Callable[[_Task, Any, BaseException | None], None],
        on_item: Callable[[_Task, Any], None],
        on_progress: Callable[[int, int, int], None],
        idle: float = _IDLE,
    ) -> None:
        self._on_finished, self._on_item, self._on_progress = on_finished, on_item, on_progress
        self._idle = idle
        self._condition = threading.Condition()
        self._next: _Task | None = None
        self._oldest_wanted = 0  # tasks with a lower number are superseded
        self._stopped = False
        self._thread: threading.Thread | None = None
        _THREADS.add(self)

    def submit(self, task: _Task, keep_running: bool) -> None:
        with self._condition:
            if self._stopped:
                return
            if not keep_running:
                self._oldest_wanted = task.number
            self._next = task
            self._condition.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="napari-pgan renderer", daemon=True)
                self._thread.start()

    def cancel(self, number: int) -> None:
        with self._condition:
            self._oldest_wanted, self._next = number, None

    def is_wanted(self, number: int) -> bool:
        return not self._stopped and number >= self._oldest_wanted

    def stop(self, timeout: float) -> None:
        with self._condition:
            self._stopped, self._next = True, None
            self._condition.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._next is None and not self._stopped:
                    if not self._condition.wait(self._idle) and self._next is None:
                        self._thread = None  # the next task starts another
                        return
                if self._stopped:
                    return
                task, self._next = self._next, None
            assert task is not None
            self._serve(task)
            del task  # otherwise it stays alive while the thread waits

    def _serve(self, task: _Task) -> None:
        def progress(done: int, total: int) -> None:
            if not self.is_wanted(task.number):
                raise Superseded
            self._on_progress(task.number, done, total)

        result, error = None, None
        try:
            result = task.work(progress)
            if isinstance(result, Iterator):
                for item in result:
                    if not self.is_wanted(task.number):
                        return
                    self._on_item(task, item)
                result = _EXHAUSTED
        except Superseded:
            return
        except Exception as raised:
            error = raised
        if self.is_wanted(task.number):
            self._on_finished(task, result, error)


_THREADS: weakref.WeakSet[_Thread] = weakref.WeakSet()


@atexit.register
def _join_threads() -> None:
    """Wait for running work: the process aborts if the interpreter ends while a thread is inside torch."""
    for thread in list(_THREADS):
        thread.stop(_EXIT_TIMEOUT)


class Renderer(QObject):
    """Runs the newest request in a background thread and returns its result to the event loop's thread.

    Signals: `failed(exception)`, `progressed(done, total)`, `busy(bool)`.

    Parameters
    ----------
    parent
        Qt parent.
    idle
        Seconds without a request after which the thread ends; the next request starts another.
    quit_timeout
        Seconds to wait for running work when the application quits.
    """

    failed = Signal(object)
    progressed = Signal(int, int)
    busy = Signal(bool)
    _finished = Signal(object, object, object)
    _yielded = Signal(object, object)
    _reported = Signal(int, int, int)

    def __init__(self, parent: QObject | None = None, idle: float = _IDLE, quit_timeout: float = 5.0) -> None:
        super().__init__(parent)
        self._quit_timeout = quit_timeout
        self._number = 0
        self._served = 0
        self._finished.connect(self._on_finished)
        self._yielded.connect(self._on_yielded)
        self._reported.connect(self._on_reported)
        finished, yielded, reported = (_weak_emitter(self, name) for name in ("_finished", "_yielded", "_reported"))
        self._thread = _Thread(finished, yielded, reported, idle)
        weakref.finalize(self, self._thread.stop, 0)
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self._on_quit)

    @property
    def is_busy(self) -> bool:
        """Whether a result is still to come."""
        return self._served < self._number

    def request(
        self, work: Callable[[Progress], Any], done: Callable[[Any], None], *, keep_running: bool = False
    ) -> None:
        """Request a result; drop a request that has not started yet.

        Parameters
        ----------
        work
            Called in the background with ``progress(done, total)``, which it calls between steps: that call ends
            superseded work by raising `Superseded`.
        done
            Called with the result, or with each item of a generator, in the event loop's thread, unless a newer
            request has superseded it.
        keep_running
            Whether the running request may still return its result. True while a slider is dragged, so that images
            keep coming; False after a change of model.
        """
        was_busy = self.is_busy
        self._number += 1
        self._thread.submit(_Task(self._number, work, done), keep_running)
        if not was_busy:
            self.busy.emit(True)

    def cancel(self) -> None:
        """Drop all requests; running work ends at its next step without a result."""
        if self.is_busy:
            self._number += 1
            self._thread.cancel(self._number)
            self._served = self._number
            self.busy.emit(False)

    def stop(self) -> None:
        """Stop for good: no result follows, and further requests are ignored."""
        self._stop(0)

    @Slot()
    def _on_quit(self) -> None:
        self._stop(self._quit_timeout)

    def _stop(self, timeout: float) -> None:
        self._thread.stop(timeout)
        self._served = self._number

    @Slot(object, object, object)
    def _on_finished(self, task: _Task, result: Any, error: BaseException | None) -> None:
        if not self._thread.is_wanted(task.number):  # superseded while the signal was queued
            return
        self._served = max(self._served, task.number)
        try:
            if error is not None:
                self.failed.emit(error)
            elif result is not _EXHAUSTED:
                task.done(result)
        finally:
            if not self.is_busy:
                self.busy.emit(False)

    @Slot(object, object)
    def _on_yielded(self, task: _Task, item: Any) -> None:
        if self._thread.is_wanted(task.number):
            task.done(item)

    @Slot(int, int, int)
    def _on_reported(self, number: int, done: int, total: int) -> None:
        if self._thread.is_wanted(number):
            self.progressed.emit(done, total)


def _weak_emitter(renderer: Renderer, signal: str) -> Callable[..., None]:
    """Emit a signal of a renderer without a strong reference to it."""
    reference = weakref.ref(renderer)

    def emit(*args: Any) -> None:
        present = reference()
        if present is not None:
            with contextlib.suppress(RuntimeError):  # Qt may have deleted it in the meantime
                getattr(present, signal).emit(*args)

    return emit
