"""Kill trainings at random moments and resume them until they finish."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from small_fit import checkpoints

_LEFTOVER = re.compile(r"\.[0-9a-f]{8}\.(.+)")
_TIMEOUT = 120.0  # seconds without progress

_SERVER = """
import json, os, sys
from napari_pgan.cli.app import main
from napari_pgan.training import session
from napari_pgan.training.calibrate import Cost
session.calibrate = lambda _, schedule: {(p.stage, p.fading): Cost(0.01, True) for p in schedule.phases}
for line in sys.stdin:
    action, argument = json.loads(line)
    if action == "wait":
        print(os.waitstatus_to_exitcode(os.waitpid(argument, 0)[1]), flush=True)
        continue
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(main(argument))
    print(child, flush=True)
"""


class Command:
    """A training in a process of its own, started by its command."""

    def __init__(self, arguments: list[str]) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "napari_pgan", *arguments], stderr=subprocess.DEVNULL)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait()


class Forks:
    """Starts trainings as forks of a process that has done the slow imports."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.communicate()

    def start(self, arguments: list[str]) -> Fork:
        return Fork(self.ask("start", arguments), self)

    def ask(self, what: str, argument: list[str] | int) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps([what, argument]), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())


class Fork:
    """A training started by `Forks`."""

    def __init__(self, pid: int, forks: Forks) -> None:
        self.pid, self._forks = pid, forks

    @property
    def running(self) -> bool:
        """Whether it runs. A process that has ended is a zombie until it is waited for."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; returns the exit code, or the negative number of the signal that ended it."""
        return self._forks.ask("wait", self.pid)


def kill_and_resume(
    start: Callable[[list[str]], Command | Fork], arguments: list[str], run: Path, kills: int, chance: random.Random
) -> Counter[str]:
    """Train to the end with up to `kills` kills on the way; returns the kills, and counts of what they hit."""
    hit: Counter[str] = Counter()
    while True:
        process = start(arguments)
        if hit["kills"] < kills and _await_moment(process, run, chance):
            process.send(signal.SIGKILL)
        code = process.wait()
        if code == 0:
            return hit
        assert code == -signal.SIGKILL, f"exit code {code}"
        hit["kills"] += 1
        hit["within a fade-in"] += 0 < _alpha(run) < 1
        written = [match[1] for path in _files(run) if (match := _LEFTOVER.fullmatch(path.name))]
        hit["within a write"] += bool(written)
        for name in written:
            hit[f"of {_kind(name)}"] += 1
        _assert_all_intact(run)


def _await_moment(process: Command | Fork, run: Path, chance: random.Random) -> bool:
    """Wait for a random moment to kill; returns whether the training still runs."""
    what = chance.choice(["any", "fade", "write", "write", "write"])
    until = time.monotonic() + _TIMEOUT
    before = _rows(run)
    skipped, times, seen = chance.randrange(4), 0, set[Path]()
    while process.running:
        assert time.monotonic() < until, "the training hangs"
        if what == "write":
            new = {path for path in _files(run) if path.suffix == ".safetensors" and path.name.startswith(".")} - seen
            seen |= new
            times += bool(new)
            if times > skipped:
                return True
        elif (what == "any" or 0 < _alpha(run) < 1) and (_rows(run) != before or chance.random() < 0.001):
            time.sleep(chance.uniform(0, 0.3))
            return process.running
        time.sleep(0.001)
    return False


def _kind(name: str) -> str:
    if re.fullmatch(r"\d{10}\.safetensors", name):
        return "a checkpoint"
    return "a preview" if name.endswith(".png") else name


def _files(run: Path) -> list[Path]:
    return [
        path for folder in (run, run / "checkpoints", run / "preview") if folder.is_dir() for path in folder.iterdir()
    ]


def _rows(run: Path) -> int:
    try:
        return (run / "metrics.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _alpha(run: Path) -> float:
    """Alpha at the last row of the metrics."""
    try:
        with open(run / "metrics.jsonl", "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - 2000, 0))
            alphas = re.findall(rb'"alpha": ([0-9.]+)', file.read())
    except FileNotFoundError:
        return 0.0
    return float(alphas[-1]) if alphas else 0.0


def _assert_all_intact(run: Path) -> None:
    """All files with a final name can be read."""
    from napari_pgan.model import read_model
    from napari_pgan.training.checkpoint import is_intact

    for path in checkpoints(run):
        assert is_intact(path), path
    for path in run.glob("*.safetensors"):
        if not path.name.startswith("."):
            read_model(path)
