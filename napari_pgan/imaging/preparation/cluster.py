"""Many tasks on the workers of a `dask.distributed` cluster, on any number of machines."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar

from napari_pgan.errors import InputError

if TYPE_CHECKING:
    from distributed import Future

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

CONNECT = 10.0  # seconds that a scheduler gets to answer
PATIENCE = 60.0  # seconds without any worker, after which none is waited for
_GLANCE = 1.0  # seconds between two looks at who is there
_POLL = 0.02  # seconds between two looks for results


class Cluster:
    """Workers that take tasks one by one; use as a context, in place of `Workers`.

    On Ctrl-C tasks that have not begun are cancelled, those that have run to their end, and the interrupt goes on. A
    task whose worker dies is given to another one, as often as the scheduler allows.

    Parameters
    ----------
    scheduler
        The scheduler's address, such as ``tcp://node7:8786``.
    say
        Told in one line that workers died, and how many are left.
    patience
        Seconds to wait for a worker when there is none.

    Raises
    ------
    InputError
        On entering: dask.distributed is not installed, nobody answers at the address, or there is no worker.
    """

    def __init__(self, scheduler: str, say: Callable[[str], None], patience: float = PATIENCE) -> None:
        self.scheduler, self.say, self.patience = scheduler, say, patience
        self._stack = contextlib.ExitStack()
        self._futures: list[Future] = []
        self._there: set[str] = set()
        self._seen = self._looked = 0.0

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
        self._there = self._workers()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone has nothing left to cancel
            self._client.cancel(self._futures)
        self._stack.close()

    def check(self, folder: str) -> None:
        """Make sure that every worker runs the same napari-pgan and sees a folder.

        Raises
        ------
        InputError
            A worker does not see the folder, has no napari-pgan, or another version of it.
        """
        ours, answers = version("napari-pgan"), self._client.run(_view, folder, on_error="return")
        for worker, answer in answers.items():
            if not isinstance(answer, _View):
                raise InputError(
                    f"the worker {worker} cannot run napari-pgan ({type(answer).__name__}: {answer}); "
                    f"install version {ours} there"
                )
            if answer.version != ours:
                raise InputError(
                    f"the worker {worker} has napari-pgan {answer.version}, not {ours}; install the same there"
                )
            if not answer.seen:
                raise InputError(
                    f"the worker {worker} does not see {folder}; all workers must see the cohort and the "
                    "store at the same paths, or the store at an address such as s3://bucket/cohort.zarr"
                )

    def map(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Results as they come, in any order. `function` must be importable and not raise for a bad task.

        Raises
        ------
        InputError
            No worker is left, the scheduler is gone, or a task's workers died again and again; the others are done.
        """
        from distributed import KilledWorker, as_completed

        # Named by chance, and failing as a result, since schedulers show names and workers log failed tasks whole.
        self._futures = self._client.map(_outcome, [function] * len(tasks), tasks, pure=False)
        self._seen, waiting, deadly = time.monotonic(), as_completed(self._futures, loop=self._client.loop), 0
        while waiting.count():
            batch = waiting.next_batch(block=False)
            for future in batch:
                if future.status == "error" and isinstance(future.exception(), KilledWorker):
                    deadly += 1
                elif future.status == "finished":
                    result, error = future.result()
                    if error is not None:
                        raise error
                    yield result
                elif future.status in ("pending", "lost") and self._client.status == "running":
                    waiting.add(future)  # it died with the worker that held it, before it was fetched: done once more
                else:
                    raise self._gone()
            self._look_after()
            if not batch:
                time.sleep(_POLL)
        if deadly:
            raise InputError(
                f"{deadly} of {len(tasks)} subjects were in hand when one worker after the other died, most often for "
                "want of memory; give workers more of it, or one thread each, and run the same command again, which "
                "does what is missing"
            )

    def _look_after(self) -> None:
        """Tell of workers that died, and give up when all have for too long."""
        now = time.monotonic()
        if now - self._looked < _GLANCE:
            return
        self._looked = now
        if self._client.status != "running":
            raise self._gone()
        there = self._workers()
        if gone := self._there - there:
            self.say(
                f"{len(gone)} worker{'s' * (len(gone) > 1)} died or left ({', '.join(sorted(gone))}), most often for "
                f"want of memory; {len(there)} there now, and the subjects in hand are given to others"
            )
        self._there = there
        if there:
            self._seen = now
        if now - self._seen > self.patience:
            raise InputError(
                f"the cluster at {self.scheduler} has had no workers for {self.patience:.0f} s; start some and run the "
                "same command again, which goes on from here"
            )

    def _workers(self) -> set[str]:
        return set(self._client.nthreads())

    def _gone(self) -> InputError:
        return InputError(
            f"the scheduler at {self.scheduler} is gone; start one and run the same command again, which goes on from "
            "here"
        )


@dataclass(frozen=True)
class _View:
    """What a worker has: a version of napari-pgan, and a folder before it or not."""

    version: str
    seen: bool


def _view(folder: str) -> _View:
    return _View(version("napari-pgan"), os.path.isdir(folder))


def _outcome(function: Callable[[_Task], _Result], task: _Task) -> tuple[_Result | None, Exception | None]:
    try:
        return function(task), None
    except Exception as error:
        return None, error
