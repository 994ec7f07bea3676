"""A command in a child process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.viewer
_WAITING = """
import sys, time
print("started", file=sys.stderr, flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped")
    sys.exit(130)
"""


@pytest.fixture(params=[signal.SIG_DFL, signal.SIG_IGN], ids=["from a terminal", "from a script with &"])
def sigint_handler(request: pytest.FixtureRequest) -> Iterator[None]:
    """The viewer's own handling of SIGINT, which a child process inherits."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for other processes")
@pytest.mark.usefixtures("sigint_handler")
def test_a_stopped_command_can_finish_its_output(qtbot: Any) -> None:
    from napari_pgan.viewer.docks.prepare.process import Process

    process, lines, ends = Process(), [], []
    process.line.connect(lines.append)
    process.ended.connect(lambda *end: ends.append(end))
    process.start([sys.executable, "-c", _WAITING])
    qtbot.waitUntil(lambda: lines == ["started"], timeout=30000)
    process.stop()
    qtbot.waitUntil(lambda: bool(ends), timeout=30000)
    assert ends == [(130, "stopped\n", "started\n")]
    assert not process.is_running
