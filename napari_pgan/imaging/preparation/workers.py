"""Run tasks in several processes of one machine."""

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

MEMORY = 0.75e9  # peak bytes of a process for four modalities of 240 x 240 x 155 voxels
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


class Workers:
    """Context manager that runs tasks in single-threaded processes.

    On Ctrl-C running tasks finish, no others start, and the interrupt is re-raised. With a `number` of 1, tasks run in
    the current process.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._stack = contextlib.ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self.number > 1:
            self._stack.enter_context(_single_threaded())
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.number, mp_context=context, initializer=_ignore_interrupts)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def map(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Yield results in completion order. `function` must be importable and must not raise for a bad task.

        Raises
        ------
        InputError
            A process was killed, most often for lack of memory.
        """
        if self._pool is None:
            yield from map(function, tasks)
            return
        try:
            for future in as_completed([self._pool.submit(function, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process was killed, most often for lack of memory; "
                f"repeat the command with fewer than {self.number} --workers"
            ) from error


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """Limit libraries of processes started within the context to one thread each."""
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
    """Return how many processes the cores and the free memory allow for subjects of BraTS size, at least 1."""
    return max(1, min(available_cores(), int(psutil.virtual_memory().available / MEMORY)))


def available_cores() -> int:
    """Return the number of cores available to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
