"""A command that the viewer runs as a process of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.viewer
_WAITING = """
import sys, time
print("began", file=sys.stderr, flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("put down")
    sys.exit(130)
"""


@pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN], ids=["from a terminal", "from a script with &"])
def started(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the viewer itself does at Ctrl-C, which its children inherit."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
@pytest.mark.usefixtures("started")
def test_a_command_that_is_stopped_puts_its_work_down(qtbot: Any) -> None:
    from napari_pgan.viewer.docks.prepare.process import Process

    process, lines, ends = Process(), [], []
    process.line.connect(lines.append)
    process.ended.connect(lambda *end: ends.append(end))
    process.start([sys.executable, "-c", _WAITING])
    qtbot.waitUntil(lambda: lines == ["began"], timeout=30000)
    process.stop()
    qtbot.waitUntil(lambda: bool(ends), timeout=30000)
    assert ends == [(130, "put down\n", "began\n")]
    assert not process.is_running
