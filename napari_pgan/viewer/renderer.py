"""Work beside the event loop, of which only the newest counts.

napari's own workers are one thread an errand, and napari keeps a record of each for as long as it runs; dragging a
slider asks for hundreds. So here one thread serves the newest request, and what is overtaken is dropped. A work that
takes long can be a generator: what it yields is told as it comes.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, Signal, Slot

Progress = Callable[[int, int], None]
_IDLE = 10.0  # seconds that a thread waits for more
_NO_MORE = object()  # the answer of a work that has told all that it found


class Overtaken(Exception):
    """Raised inside a work that nobody waits for any more."""


@dataclass(frozen=True, eq=False)
class _Errand:
    number: int
    work: Callable[[Progress], Any]
    done: Callable[[Any], None]


class _Thread:
    """The thread and the one place for the next errand; knows nothing of Qt."""

    def __init__(
        self,
        answer: Callable[[_Errand, Any, BaseException | None], None],
        tell: Callable[[_Errand, Any], None],
        report: Callable[[int, int, int], None],
        idle: float = _IDLE,
    ) -> None:
        self._answer, self._tell, self._report, self._idle = answer, tell, report, idle
        self._condition = threading.Condition()
        self._next: _Errand | None = None
        self._wanted = 0  # errands below this number are overtaken
        self._stopped = False
        self._thread: threading.Thread | None = None

    def put(self, errand: _Errand, keep_running: bool) -> None:
        with self._condition:
            if self._stopped:
                return
            if not keep_running:
                self._wanted = errand.number
            self._next = errand
            self._condition.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="napari-pgan renderer", daemon=True)
                self._thread.start()

    def forget(self, number: int) -> None:
        with self._condition:
            self._wanted, self._next = number, None

    def is_wanted(self, number: int) -> bool:
        return not self._stopped and number >= self._wanted

    def stop(self, timeout: float = 5.0) -> None:
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
                        self._thread = None  # the next errand starts another
                        return
                if self._stopped:
                    return
                errand, self._next = self._next, None
            self._serve(errand)
            del errand  # what it refers to may go while the thread waits

    def _serve(self, errand: _Errand | None) -> None:
        assert errand is not None

        def step(done: int, total: int) -> None:
            if not self.is_wanted(errand.number):
                raise Overtaken
            self._report(errand.number, done, total)

        result, error = None, None
        try:
            result = errand.work(step)
            if isinstance(result, Iterator):
                for part in result:
                    if not self.is_wanted(errand.number):
                        return
                    self._tell(errand, part)
                result = _NO_MORE
        except Overtaken:
            return
        except Exception as raised:
            error = raised
        if self.is_wanted(errand.number):
            self._answer(errand, result, error)


class Renderer(QObject):
    """Answers the newest request, in the thread of the event loop.

    A work runs in a background thread and is called with ``progress(done, total)``, which it calls now and then; there
    a work that was overtaken ends. Its result goes to the request's `done` in the event loop's thread, and only if
    nothing newer has been asked for. Of a generator, each thing that it yields goes to `done`.

    Signals: `failed(exception)`, `progressed(done, total)`, `busy(bool)`.

    Parameters
    ----------
    parent
        As Qt has it.
    idle
        After how many seconds without a request the thread ends; the next request starts another.
    """

    failed = Signal(object)
    progressed = Signal(int, int)
    busy = Signal(bool)
    _answered = Signal(object, object, object)
    _told = Signal(object, object)
    _reported = Signal(int, int, int)

    def __init__(self, parent: QObject | None = None, idle: float = _IDLE) -> None:
        super().__init__(parent)
        self._number = 0
        self._served = 0
        self._answered.connect(self._on_answer)
        self._told.connect(self._on_told)
        self._reported.connect(self._on_report)
        emitters = (_unless_gone(self, name) for name in ("_answered", "_told", "_reported"))
        self._thread = _Thread(*emitters, idle)
        weakref.finalize(self, self._thread.stop, 0)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.stop_and_wait)

    @property
    def is_busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._served < self._number

    def request(
        self, work: Callable[[Progress], Any], done: Callable[[Any], None], *, keep_running: bool = False
    ) -> None:
        """Ask for something; what was asked for before and has not begun is forgotten.

        Parameters
        ----------
        work
            Called in the background with ``progress``.
        done
            Called with the result in the event loop's thread.
        keep_running
            Whether the answer that is being made now is still welcome: while a slider is dragged it is, so that
            pictures keep coming; after a change of model it is not.
        """
        was_busy = self.is_busy
        self._number += 1
        self._thread.put(_Errand(self._number, work, done), keep_running)
        if not was_busy:
            self.busy.emit(True)

    def forget(self) -> None:
        """Ask for nothing any more: what runs ends at its next step, and no answer of it comes."""
        if self.is_busy:
            self._number += 1
            self._thread.forget(self._number)
            self._served = self._number
            self.busy.emit(False)

    def stop(self) -> None:
        """No answer comes after this, and requests are ignored; the thread ends at its work's next step."""
        self._thread.stop(0)
        self._served = self._number

    @Slot()
    def stop_and_wait(self) -> None:
        """As `stop`, and wait for the thread, as long as that is bearable."""
        self._thread.stop()
        self._served = self._number

    @Slot(object, object, object)
    def _on_answer(self, errand: _Errand, result: Any, error: BaseException | None) -> None:
        if not self._thread.is_wanted(errand.number):  # overtaken on its way here
            return
        self._served = max(self._served, errand.number)
        try:
            if error is not None:
                self.failed.emit(error)
            elif result is not _NO_MORE:
                errand.done(result)
        finally:
            if not self.is_busy:
                self.busy.emit(False)

    @Slot(object, object)
    def _on_told(self, errand: _Errand, part: Any) -> None:
        if self._thread.is_wanted(errand.number):
            errand.done(part)

    @Slot(int, int, int)
    def _on_report(self, number: int, done: int, total: int) -> None:
        if self._thread.is_wanted(number):
            self.progressed.emit(done, total)


def _unless_gone(renderer: Renderer, signal: str) -> Callable[..., None]:
    """Emit a signal of a renderer without keeping it alive."""
    reference = weakref.ref(renderer)

    def emit(*args: Any) -> None:
        present = reference()
        if present is not None:
            with contextlib.suppress(RuntimeError):  # Qt has deleted it while the work ran
                getattr(present, signal).emit(*args)

    return emit
