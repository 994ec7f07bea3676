"""Run tasks on a `dask.distributed` cluster."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from napari_pgan.errors import InputError

if TYPE_CHECKING:
    from distributed import Future

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

CONNECT = 10.0  # timeout of the connection to the scheduler, seconds
PATIENCE = 60.0  # maximum time without workers, seconds
_WORKER_INTERVAL = 1.0  # between checks of the workers, seconds
_POLL = 0.02  # between checks for results, seconds


class Cluster:
    """Context manager that runs tasks on a cluster, with the interface of `Workers`.

    On Ctrl-C pending tasks are cancelled, running ones finish, and the interrupt is re-raised. A task whose worker
    dies is reassigned as often as the scheduler allows.

    Parameters
    ----------
    scheduler
        Address of the scheduler, such as ``tcp://node7:8786``.
    notify
        Called with one line about workers that died and how many are left.
    patience
        Maximum time to wait if there are no workers, seconds.

    Raises
    ------
    InputError
        On entry: dask.distributed is not installed, the scheduler does not answer, or it has no workers.
    """

    def __init__(self, scheduler: str, notify: Callable[[str], None], patience: float = PATIENCE) -> None:
        self.scheduler, self.notify, self.patience = scheduler, notify, patience
        self._stack = contextlib.ExitStack()
        self._futures: list[Future] = []
        self._known: set[str] = set()
        self._last_seen = self._last_check = 0.0

    def __enter__(self) -> Cluster:
        try:
            from distributed import Client
        except ImportError as error:
            raise InputError(
                "--scheduler needs dask.distributed; install it with `pip install 'napari-pgan[cluster]'`"
            ) from error
        try:
            client = Client(self.scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"--scheduler {self.scheduler} does not answer as a dask scheduler; "
                "start one with `dask scheduler` and give the address that it prints"
            ) from error
        self._client = self._stack.enter_context(client)
        try:
            client.wait_for_workers(1, timeout=self.patience)
        except TimeoutError as error:
            self._stack.close()
            raise InputError(
                f"the cluster at {self.scheduler} has no workers; start some with "
                f"`dask worker {self.scheduler} --nthreads 1`"
            ) from error
        self._known = self._workers()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone has nothing to cancel
            self._client.cancel(self._futures)
        self._stack.close()

    def check(self, folder: str) -> None:
        """Check that each worker has the same napari-pgan and can access a folder.

        Raises
        ------
        InputError
            A worker cannot access the folder, or its napari-pgan is missing or another version.
        """
        own, answers = version("napari-pgan"), self._client.run(_probe, folder, on_error="return")
        for worker, answer in answers.items():
            if not isinstance(answer, tuple):
                raise InputError(
                    f"the worker {worker} cannot run napari-pgan ({type(answer).__name__}: {answer}); "
                    f"install version {own} there"
                )
            other, has_folder = answer
            if other != own:
                raise InputError(f"the worker {worker} has napari-pgan {other}; install version {own} there")
            if not has_folder:
                raise InputError(
                    f"the worker {worker} cannot access {folder}; all workers need the cohort and the store at the "
                    "same paths, or the store at an address such as s3://bucket/cohort.zarr"
                )

    def map(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Yield results in completion order. `function` must be importable and must not raise for a bad task.

        Raises
        ------
        InputError
            No worker is left, the scheduler is gone, or a task repeatedly killed its worker (other tasks are finished).
        """
        from distributed import KilledWorker, as_completed

        # Random names and errors as results, because schedulers show names and workers log failed tasks in full.
        self._futures = self._client.map(_outcome, [function] * len(tasks), tasks, pure=False)
        self._last_seen, pending, killed = time.monotonic(), as_completed(self._futures, loop=self._client.loop), 0
        while pending.count():
            batch = pending.next_batch(block=False)
            for future in batch:
                if future.status == "error" and isinstance(future.exception(), KilledWorker):
                    killed += 1
                elif future.status == "finished":
                    result, error = future.result()
                    if error is not None:
                        raise error
                    yield result
                elif future.status in ("pending", "lost") and self._client.status == "running":
                    pending.add(future)  # the result was lost with its worker and is computed again
                else:
                    raise self._gone()
            self._check_workers()
            if not batch:
                time.sleep(_POLL)
        if killed:
            raise InputError(
                f"{killed} of {len(tasks)} subjects repeatedly killed their worker, most often for lack of memory; "
                "give workers more memory or one thread each, and repeat the command, which continues from here"
            )

    def _check_workers(self) -> None:
        """Report workers that died, and raise if there have been none for too long."""
        now = time.monotonic()
        if now - self._last_check < _WORKER_INTERVAL:
            return
        self._last_check = now
        if self._client.status != "running":
            raise self._gone()
        workers = self._workers()
        if lost := self._known - workers:
            self.notify(
                f"{len(lost)} worker{'s' * (len(lost) > 1)} died or left ({', '.join(sorted(lost))}), most often for "
                f"lack of memory; {len(workers)} remain, and their subjects are reassigned"
            )
        self._known = workers
        if workers:
            self._last_seen = now
        if now - self._last_seen > self.patience:
            raise InputError(
                f"the cluster at {self.scheduler} has had no workers for {self.patience:.0f} s; start some and repeat "
                "the command, which continues from here"
            )

    def _workers(self) -> set[str]:
        return set(self._client.nthreads())

    def _gone(self) -> InputError:
        return InputError(
            f"the scheduler at {self.scheduler} is gone; start one and repeat the command, which continues from here"
        )


def _probe(folder: str) -> tuple[str, bool]:
    """Version of napari-pgan on a worker, and whether it can access a folder."""
    return version("napari-pgan"), os.path.isdir(folder)


def _outcome(function: Callable[[_Task], _Result], task: _Task) -> tuple[_Result | None, Exception | None]:
    try:
        return function(task), None
    except Exception as error:
        return None, error
