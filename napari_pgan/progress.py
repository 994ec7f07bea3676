"""What the command says while it works: a bar when a person watches, plain lines otherwise."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

_BETWEEN = 5.0  # seconds between two plain lines, at least
_SILENCE = 300.0  # seconds without a plain line, at most, while steps are done
_REFRESH = 2.0  # times a second that the bar is drawn
_BAR = (6, 40)  # characters


class Update(Protocol):
    """Told how many steps are done, what to say beside it, and how many seconds are left where that is known."""

    def __call__(self, done: int, note: str = "", seconds_left: float | None = None) -> None: ...


def say(text: str) -> None:
    """A line for the person, on stderr, so that stdout stays free for `--json`."""
    print(text, file=sys.stderr, flush=True)


def emit(data: Any) -> None:
    """A result for machines: one JSON document on stdout."""
    print(json.dumps(data, indent=2, ensure_ascii=False), flush=True)


def duration(seconds: float) -> str:
    """A length of time as people say it, as ``40 s``, ``22 min``, ``5 h 12 min`` or ``3 d 4 h``."""
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
    """Show how far a work of `total` steps is; yields ``update(done, note, seconds_left)``.

    On a terminal this is a bar with the time left; otherwise a line at every tenth of the way or every five minutes, at
    most one in five seconds. Where the caller does not say how long it takes, steps are taken to be equally long.
    """
    way = _Way(what, total, unit)
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield _Lines(way)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(get_renderable=lambda: _Bar(way), console=Console(stderr=True), refresh_per_second=_REFRESH) as live:

        def update(done: int, note: str = "", seconds_left: float | None = None) -> None:
            way.update(done, note, seconds_left)
            if done >= way.total:
                live.refresh()

        yield update


class _Way:
    """How far a work is, and how to say it."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, max(total, 1), unit
        self.done, self.note = 0, ""
        self.began = self.now = time.monotonic()
        self.first: tuple[int, float] | None = None  # where a work that goes on was taken up, and when
        self.seconds_left: float | None = None

    def update(self, done: int, note: str, seconds_left: float | None) -> None:
        self.done, self.note, self.now = done, note, time.monotonic()
        self.first = self.first or (done, self.now)
        if seconds_left is None and done > self.first[0]:
            seconds_left = (self.now - self.first[1]) / (done - self.first[0]) * max(self.total - done, 0)
        self.seconds_left = seconds_left

    def left(self) -> str:
        if self.done >= self.total:
            return f"done in {duration(self.now - self.began)}"
        if self.seconds_left is None:
            return ""
        return f"{duration(max(self.seconds_left - (time.monotonic() - self.now), 0))} left"

    def line(self) -> str:
        """All of it, for a log."""
        count = f"{self.done:,}/{self.total:,} {self.unit}".rstrip()
        return ", ".join(filter(None, (f"{self.what}: {count} ({self.share:.0%})", self.note, self.left())))

    @property
    def share(self) -> float:
        return min(self.done / self.total, 1.0)

    def texts(self, width: int) -> tuple[str, int, str]:
        """What stands before the bar, the bar's length, and what stands after it, for a line of `width` characters."""
        whole = f"{self.total:,}"
        count = f"{self.done:>{len(whole)},}/{whole}"
        percent, end = f"{self.share:4.0%}", (self.note, self.left())
        for before, after in (
            (self.what, (f"{count} {self.unit}".rstrip(), *end)),
            (self.what, (count, *end)),
            ("", (count, *end)),
            ("", (percent, *end)),
        ):
            text = "  ".join(filter(None, after))
            room = width - len(text) - 2 - (len(before) + 2 if before else 0)
            if room >= _BAR[0]:
                return before, min(room, _BAR[1]), text
        return "", 0, "  ".join(filter(None, (percent, *end)))[:width]


class _Bar:
    """As much of it as fits on one line of the terminal."""

    def __init__(self, way: _Way) -> None:
        self.way = way

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        before, length, after = self.way.texts(options.max_width - 3)  # a typed ^C must not begin another line
        bar = ProgressBar(self.way.total, min(self.way.done, self.way.total), length)
        row: list[RenderableType] = [*([Text(before)] if before else []), *([bar] if length else []), Text(after)]
        table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        for _ in row:
            table.add_column(no_wrap=True)
        table.add_row(*row)
        yield table


class _Lines:
    def __init__(self, way: _Way) -> None:
        self.way, self.tenth, self.last = way, -1, -1e9

    def __call__(self, done: int, note: str = "", seconds_left: float | None = None) -> None:
        way = self.way
        way.update(done, note, seconds_left)
        tenth, silent = 10 * done // way.total, way.now - self.last
        if done < way.total and (silent < _BETWEEN or (tenth == self.tenth and silent < _SILENCE)):
            return
        if done >= way.total and self.tenth >= 10:
            return
        self.tenth, self.last = tenth, way.now
        say(way.line())
