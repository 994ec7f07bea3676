"""Many tasks on several processes of one machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import psutil

from napari_pgan.errors import InputError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

MEMORY = 0.75e9  # bytes that a process takes at most for a subject of four modalities of 240 x 240 x 155
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


class Workers:
    """Processes that take tasks one by one; use as a context.

    On Ctrl-C tasks that have begun are ended, no other begins, and the interrupt goes on. Each process computes with
    one thread, as there are as many processes as there is work for.

    Parameters
    ----------
    number
        Processes; with 1, tasks run in this one.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._stack = contextlib.ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self.number > 1:
            self._stack.enter_context(_one_thread_each())
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.number, mp_context=context, initializer=_leave_interrupts)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def map(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Results as they come, in any order. `function` must be importable and not raise for a bad task.

        Raises
        ------
        InputError
            A process was killed, most often for want of memory.
        """
        if self._pool is None:
            yield from map(function, tasks)
            return
        try:
            for future in as_completed([self._pool.submit(function, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process was ended from outside, most often for want of memory; "
                f"run the same command again with fewer than {self.number} --workers"
            ) from error


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Set what libraries read when a process starts; processes start as tasks come."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def default_worker_count() -> int:
    """Processes that this machine has cores and free memory for, with subjects of BraTS's size; one at least."""
    return max(1, min(available_cores(), int(psutil.virtual_memory().available / MEMORY)))


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
