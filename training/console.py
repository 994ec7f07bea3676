"""What the command says while it works: a bar when a person watches, plain lines otherwise."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol


class Update(Protocol):
    """Told how many steps are done, and what to say beside it."""

    def __call__(self, done: int, note: str = "") -> None: ...


def say(text: str) -> None:
    """A line for the person, on stderr, so that stdout stays free for `--json`."""
    print(text, file=sys.stderr, flush=True)


def emit(data: Any) -> None:
    """A result for machines: one JSON document on stdout."""
    print(json.dumps(data, indent=2, ensure_ascii=False), flush=True)


@contextlib.contextmanager
def progress(what: str, total: int, unit: str = "") -> Iterator[Update]:
    """Show how far a work of `total` steps is; yields ``update(done, note)``.

    On a terminal this is a bar with the time left; otherwise a line at every tenth of the way, at most one in five
    seconds.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total, note="")

            def update(done: int, note: str = "") -> None:
                bar.update(task, completed=done, note=note)

            yield update
        return
    yield _Lines(what, total, unit)


class _Lines:
    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, max(total, 1), unit
        self.tenth, self.began, self.last = -1, time.monotonic(), -1e9

    def __call__(self, done: int, note: str = "") -> None:
        tenth, now = 10 * done // self.total, time.monotonic()
        if tenth == self.tenth or (now - self.last < 5 and done < self.total):
            return
        self.tenth, self.last = tenth, now
        left = (now - self.began) * max(self.total - done, 0) / done if done else 0.0
        say(f"{self.what}: {done}/{self.total} {self.unit} {f'{left:.0f} s left ' if done else ''}{note}".rstrip())
