"""Messages, JSON results and progress of the command: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

_INTERVAL = 5.0  # minimum seconds between two plain lines
_MAX_INTERVAL = 300.0  # maximum seconds between two plain lines while steps are done
_NOTE_WIDTH, _TIME_WIDTH, _BAR_WIDTH = 24, 17, 6  # characters reserved for the note, the time left and the bar
_FREE_WIDTH = 3  # characters left free at the end of the line: a typed ^C must not start a new line


class Update(Protocol):
    """Callback with the steps done, a note to show beside them, and the seconds left if they are known."""

    def __call__(self, done: int, note: str = "", seconds_left: float | None = None) -> None: ...


def say(text: str) -> None:
    """Print a message on stderr, so that stdout stays free for `--json`."""
    print(text, file=sys.stderr, flush=True)


def emit(data: Any) -> None:
    """Print a result as one JSON document on stdout."""
    print(json.dumps(data, indent=2, ensure_ascii=False), flush=True)


def duration(seconds: float) -> str:
    """Format a duration as ``40 s``, ``22 min``, ``5 h 12 min`` or ``3 d 4 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


@contextlib.contextmanager
def progress(what: str, total: int, unit: str = "") -> Iterator[Update]:
    """Show the progress of `total` steps; yields ``update(done, note, seconds_left)``.

    On a terminal this is a bar with the time left; elsewhere a line at every tenth of the steps or every five minutes,
    at most one in five seconds. Unless the caller gives the time left, it is estimated from the mean time of a step.
    """
    state = _State(what, total, unit)
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield _Lines(state)
        return
    with _bar(state) as bar:
        task = bar.add_task(what, total=state.total, state=state)

        def update(done: int, note: str = "", seconds_left: float | None = None) -> None:
            state.update(done, note, seconds_left)
            bar.update(task, completed=min(done, state.total), refresh=done >= state.total)

        yield update


class _State:
    """The progress of one task, and how it is worded."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, max(total, 1), unit
        self.done, self.note = 0, ""
        self.began = self.now = time.monotonic()
        self.first: tuple[int, float] | None = None  # steps done at the first update, and its time
        self.seconds_left: float | None = None

    def update(self, done: int, note: str, seconds_left: float | None) -> None:
        self.done, self.note, self.now = done, note, time.monotonic()
        self.first = self.first or (done, self.now)
        if seconds_left is None and done > self.first[0]:
            seconds_left = (self.now - self.first[1]) / (done - self.first[0]) * max(self.total - done, 0)
        self.seconds_left = seconds_left

    @property
    def time_left(self) -> str:
        if self.done >= self.total:
            return f"done in {duration(self.now - self.began)}"
        if self.seconds_left is None:
            return ""
        return f"{duration(max(self.seconds_left - (time.monotonic() - self.now), 0))} left"

    @property
    def count(self) -> str:
        return f"{self.done:,}/{self.total:,}"

    def line(self) -> str:
        """Return everything in one line of a log."""
        share = f"({min(self.done / self.total, 1.0):.0%})"
        count = " ".join(filter(None, (self.count, self.unit, share)))
        return ", ".join(filter(None, (f"{self.what}: {count}", self.note, self.time_left)))


def _bar(state: _State) -> Progress:
    """Return a bar that fits on one line of the terminal, also after the terminal is resized."""
    from rich.console import Console, RenderableType
    from rich.constrain import Constrain
    from rich.progress import Progress

    console = Console(stderr=True)

    class Bar(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            width = max(console.width - _FREE_WIDTH, 1)
            self.columns = _columns(state, width)
            yield Constrain(self.make_tasks_table(self.tasks), width)

    return Bar(console=console, refresh_per_second=2, expand=True)


def _columns(state: _State, width: int) -> tuple[ProgressColumn, ...]:
    """Return the columns of the bar that fit into `width` characters."""
    from rich.progress import BarColumn, TextColumn
    from rich.table import Column

    space = width - _NOTE_WIDTH - _TIME_WIDTH - _BAR_WIDTH - 4
    names, counts = len(state.what) + 1, 2 * len(f"{state.total:,}") + 1
    columns = ["{task.fields[state].count}" if counts <= space else "{task.percentage:>3.0f}%"]
    if names + counts <= space:
        columns.insert(0, "{task.description}")
    if names + counts + len(state.unit) + 1 <= space:
        columns[1] += f" {state.unit}"
    columns += ["{task.fields[state].note}", "{task.fields[state].time_left}"]
    texts = [TextColumn(column, markup=False) for column in columns]
    bar = BarColumn(bar_width=None, table_column=Column(ratio=1))
    return (*texts[:-3], bar, *texts[-3:])


class _Lines:
    """Prints a line at every tenth of the steps, at most one in `_INTERVAL` and at least one in `_MAX_INTERVAL`."""

    def __init__(self, state: _State) -> None:
        self.state, self.tenth, self.last = state, -1, -1e9

    def __call__(self, done: int, note: str = "", seconds_left: float | None = None) -> None:
        state = self.state
        state.update(done, note, seconds_left)
        tenth, silent = 10 * done // state.total, state.now - self.last
        if done < state.total and (silent < _INTERVAL or (tenth == self.tenth and silent < _MAX_INTERVAL)):
            return
        if done >= state.total and self.tenth >= 10:
            return
        self.tenth, self.last = tenth, state.now
        say(state.line())
