"""Progress on a terminal and in a log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest

from napari_pgan import progress as progress_module
from napari_pgan.progress import duration, progress

WORK = """
import sys, time
from napari_pgan.progress import progress, say
with progress("training", 10_200_000, "images") as update:
    for i in range(9):
        update(i * 1_200_000, "1024² fade-in 45%, 105/s", 101_000 - 10_000 * i)
        if i == 4:
            say("a message in between")
        time.sleep(0.15)
    update(10_200_000)
"""

RESIZE = """
import fcntl, struct, sys, termios, time
from napari_pgan.progress import progress, say

def resize(width):
    fcntl.ioctl(sys.__stderr__.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

with progress("training", 10_200_000, "images") as update:
    for i in range(9):
        update(i * 1_200_000, "1024² fade-in 45%, 105/s", 101_000 - 10_000 * i)
        if i == 3:
            resize(60)
            say("narrower")
        if i == 6:
            say("wider")
            resize(100)
        time.sleep(0.2)
    update(10_200_000)
"""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (99, "99 s"), (1320, "22 min"), (3599, "1 h"), (18_720, "5 h 12 min"),
        (47 * 3600 + 59 * 60, "47 h 59 min"), (76 * 3600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations_are_formatted_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize("width", [60, 80, 132])
def test_the_bar_fits_on_one_line_and_shows_note_and_time_left(width: int) -> None:
    output = run_on_terminal(width)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", output)]
    assert max(map(len, lines)) <= width
    drawn = [line for line in lines if "━" in line]
    assert any("1024² fade-in 45%, 105/s" in line and "h" in line and line.endswith(" left") for line in drawn)
    assert "a message in between" in lines
    assert re.search(r"done in \d+ s$", drawn[-1])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_the_bar_follows_a_resized_terminal() -> None:
    output = run_on_terminal(132, RESIZE)
    wide, rest = output.split("narrower")
    narrow, wider = rest.split("wider")
    for part, width in ((wide, 132), (narrow, 60), (wider, 100)):
        drawn = [line for line in re.split(r"[\r\n]+", part) if "━" in line]
        assert max(map(len, drawn)) == width - 3
        assert any("105/s" in line and line.rstrip().endswith(" left") for line in drawn)


def run_on_terminal(width: int, work: str = WORK) -> str:
    """Return the output of `work` on a terminal of this initial width, without control codes."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    hidden = ("COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR", "FORCE_COLOR")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    process = subprocess.Popen(
        [sys.executable, "-c", work], stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm"}
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 4096):
            parts.append(part)
    except OSError:  # the process closed its end
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(parts).decode())


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_log_gets_complete_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("training", 169_152, "images") as update:
        update(0, "8², 412/s", 2520.0)
        update(118_416, "64² fade-in 45%, 39/s", 1320.0)
        update(169_152)
    lines = lines_of(capsys)
    assert lines[0] == "training: 0/169,152 images (0%), 8², 412/s, 42 min left"
    assert lines[-1] == "training: 169,152/169,152 images (100%), done in 0 s"


def test_a_log_gets_lines_neither_too_often_nor_too_seldom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    with progress("training", 1_000_000, "images") as update:
        for done in range(0, 300_000, 100):  # a day
            now = 86_400 * done / 300_000
            update(done, "256²")
    lines = lines_of(capsys)
    assert 86_400 / 300 * 0.8 < len(lines) < 86_400 / 300 * 1.2
    now = 0.0
    with progress("sampling", 1_000_000, "samples") as update:
        for done in range(0, 1_000_001, 1000):  # ten seconds
            now = done / 100_000
            update(done)
    assert len(lines_of(capsys)) == 3


def test_a_resumed_task_is_timed_from_its_first_update(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    with progress("sampling", 1000, "samples") as update:
        update(800)
        now = 60.0
        update(900)
    assert lines_of(capsys)[-1].endswith("60 s left")


def test_a_bar_counts_down_between_two_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)
    state = progress_module._State("training", 100, "images")
    state.update(50, "", 90.0)
    now += 30
    assert state.time_left == "60 s left"
