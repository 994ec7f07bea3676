"""A command that runs as a process of its own, line by line."""

from __future__ import annotations

import os
import signal
import sys

from qtpy.QtCore import QCoreApplication, QObject, QProcess, Signal

_PATIENCE = 20_000  # milliseconds that a command that was asked to stop may take to put its work down


class Process(QObject):
    """One command at a time.

    Signals: `line(text)` of what it says on stderr, `ended(code, stdout, stderr)`; the code is −1 when it could not be
    started or was killed.
    """

    line = Signal(str)
    ended = Signal(int, str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._out = self._err = self._rest = ""
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.stop_and_wait)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, command: list[str]) -> None:
        """Start a command; its program first."""
        assert self._process is None
        self._out = self._err = self._rest = ""
        process = QProcess(self)
        if hasattr(process, "setUnixProcessParameters"):  # Windows has no signals
            # A script that started napari with & let it ignore Ctrl-C, and the command would do so, too.
            process.setUnixProcessParameters(QProcess.UnixProcessFlag.ResetSignalHandlers)
        process.readyReadStandardOutput.connect(self._read_out)
        process.readyReadStandardError.connect(self._read_err)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        process.start(command[0], command[1:])

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C does; what it has finished stays."""
        if self._process is not None:
            _interrupt(int(self._process.processId()))

    def stop_and_wait(self) -> None:
        """The same, and wait for its end, as long as that is bearable; then kill it."""
        process = self._process
        if process is None:
            return
        self.stop()
        if not process.waitForFinished(_PATIENCE):
            process.kill()
            process.waitForFinished(1000)

    def _read_out(self) -> None:
        if self._process is not None:
            self._out += bytes(self._process.readAllStandardOutput().data()).decode("utf-8", "replace")

    def _read_err(self) -> None:
        if self._process is None:
            return
        text = bytes(self._process.readAllStandardError().data()).decode("utf-8", "replace")
        self._err += text
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self.line.emit(line)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            self._err = self._process.errorString()
            self._end(-1)

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read_out()
        self._read_err()
        self._end(code if status == QProcess.ExitStatus.NormalExit else -1)

    def _end(self, code: int) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
            self.ended.emit(code, self._out, self._err)


def _interrupt(number: int) -> None:
    """Ctrl-C for a process; Windows knows none for programs without a console, so there it and its children end."""
    if sys.platform != "win32":
        os.kill(number, signal.SIGINT)
        return
    import psutil

    process = psutil.Process(number)
    for one in (*process.children(recursive=True), process):
        one.terminate()
