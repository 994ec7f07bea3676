"""A command in a child process, with its output line by line."""

from __future__ import annotations

import os
import signal
import sys

from qtpy.QtCore import QCoreApplication, QObject, QProcess, Signal

_STOP_TIMEOUT = 20_000  # milliseconds between the interrupt and the kill


class Process(QObject):
    """Runs one command at a time.

    Signals: `line(text)` for each line on stderr; `ended(code, stdout, stderr)`, with the code −1 if the command could
    not be started or was killed.
    """

    line = Signal(str)
    ended = Signal(int, str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._out = self._err = self._incomplete = ""
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.stop_and_wait)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, command: list[str]) -> None:
        """Start a program with its arguments."""
        assert self._process is None
        self._out = self._err = self._incomplete = ""
        process = QProcess(self)
        if hasattr(process, "setUnixProcessParameters"):  # Windows has no signals
            # a shell script that starts napari with & makes it, and so the command, ignore SIGINT
            process.setUnixProcessParameters(QProcess.UnixProcessFlag.ResetSignalHandlers)
        process.readyReadStandardOutput.connect(self._read_out)
        process.readyReadStandardError.connect(self._read_err)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self._process = process
        process.start(command[0], command[1:])

    def stop(self) -> None:
        """Interrupt the command as Ctrl-C does, so that it can write what is complete."""
        if self._process is not None:
            _interrupt(int(self._process.processId()))

    def stop_and_wait(self) -> None:
        """Interrupt the command and wait for its end; kill it after 20 seconds."""
        process = self._process
        if process is None:
            return
        self.stop()
        if not process.waitForFinished(_STOP_TIMEOUT):
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
        *lines, self._incomplete = (self._incomplete + text).split("\n")
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


def _interrupt(pid: int) -> None:
    """Send SIGINT; Windows has none for programs without a console, so the process and its children are terminated."""
    if sys.platform != "win32":
        os.kill(pid, signal.SIGINT)
        return
    import psutil

    process = psutil.Process(pid)
    for each in (*process.children(recursive=True), process):
        each.terminate()
