"""The run folder: what a training leaves behind, and what anyone who watches it reads."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError
from napari_pgan.training.recipe import Recipe, recipe_from_dict

_LEFTOVER = re.compile(r"\.[0-9a-f]{8}\..+\.(safetensors|png|gif|jsonl?|yaml)")
_PLANNED = ("store", "store_fingerprint", "size", "images", "wish", "licence", "init", "grown", "subjects")


@dataclass(frozen=True)
class RunPlan:
    """What a run trains: its recipe, data and length, as they stand in its ``recipe.yaml``.

    Parameters
    ----------
    recipe
        In full.
    store, store_fingerprint
        Where the data lie, and the hash of what they are.
    size
        The last size, in pixels along the longer side.
    images
        The length of the whole training in real images, before it is rounded to whole batches.
    wish
        The hash of what was asked for, by which the same work is known again.
    licence
        The terms under which the model may be used, for its card.
    init
        The identity of the model that the training started from, if any.
    grown
        The stage to which that model had grown, as far as its weights were taken over.
    subjects
        How many of the store's training subjects are shown; None for all.
    """

    recipe: Recipe
    store: str
    store_fingerprint: str
    size: int
    images: int
    wish: str
    licence: str = "not stated"
    init: str | None = None
    grown: int | None = None
    subjects: int | None = None

    def to_yaml(self) -> str:
        data = {k: getattr(self, k) for k in _PLANNED}
        return yaml.safe_dump({**data, "recipe": self.recipe.to_dict()}, sort_keys=False, allow_unicode=True, width=120)


def wish_of(*parts: Any) -> str:
    """The hash of what was asked for."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Run:
    """A run folder.

    Parameters
    ----------
    folder
        Made when it is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.checkpoints, self.previews = self.folder / "checkpoints", self.folder / "preview"
        self.model, self.best = self.folder / "model.safetensors", self.folder / "best.safetensors"
        self._metrics, self._status = self.folder / "metrics.jsonl", self.folder / "status.json"
        self._recipe, self._stop = self.folder / "recipe.yaml", self.folder / "stop"
        self._said = 0.0

    @property
    def begun(self) -> bool:
        """Whether a training was ever started here."""
        return self._recipe.is_file()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against a second run; the lock is the system's and goes when the process does.

        Raises
        ------
        InputError
            Another run holds it, or the folder holds something else.
        """
        if self.folder.exists() and (not self.folder.is_dir() or (not self.begun and any(self._foreign()))):
            raise InputError(f"{self.folder}: is there already and is no run; give another --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{self.folder}: another run is training here; wait for it, or give another --out"
            ) from None
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def write_plan(self, plan: RunPlan) -> None:
        write_text(self._recipe, plan.to_yaml())

    def read_plan(self) -> RunPlan:
        """The plan of a run that was begun; raises InputError where it cannot be read."""
        try:
            data = yaml.safe_load(self._recipe.read_text("utf-8"))
            recipe = recipe_from_dict(data.pop("recipe"), str(self._recipe))
            return RunPlan(recipe=recipe, **data)
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):
            raise InputError(f"{self._recipe}: cannot be read, so this run cannot go on; give another --out") from None

    def write_status(self, **facts: Any) -> None:
        """Say how things stand, for whoever watches; adds the heartbeat (seconds since 1970) and the process."""
        write_text(
            self._status, json.dumps({**facts, "heartbeat": time.time(), "process": os.getpid()}, indent=2) + "\n"
        )
        self._said = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long the status was not written."""
        return time.monotonic() - self._said

    def read_status(self) -> dict[str, Any]:
        """The last status; empty where there is none."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self._status.read_text("utf-8"))
        return {}

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``, whole or not at all; raises InputError where the disk does not take it."""
        length = self._metrics_size()
        try:
            with open(self._metrics, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._metrics, length)
            raise self._no_room(error) from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of ``metrics.jsonl``; a last line cut off by a crash is passed over."""
        rows = []
        if self._metrics.is_file():
            for line in self._metrics.read_text("utf-8").splitlines():
                with contextlib.suppress(ValueError):
                    rows.append(json.loads(line))
        return rows

    def settle_metrics(self) -> int:
        """See that ``metrics.jsonl`` lies on the disk; returns its length in bytes."""
        if self._metrics.is_file():
            try:
                with open(self._metrics, "rb+") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise self._no_room(error) from error
        return self._metrics_size()

    def cut_metrics(self, length: int) -> None:
        """Drop what was written to ``metrics.jsonl`` after it had that length in bytes."""
        if self._metrics_size() > length:
            os.truncate(self._metrics, length)

    def _no_room(self, error: OSError) -> InputError:
        return InputError(
            f"{self._metrics}: cannot be written ({error.strerror or error}); make room, and the same command goes on"
        )

    def _metrics_size(self) -> int:
        return self._metrics.stat().st_size if self._metrics.is_file() else 0

    def asked_to_stop(self) -> bool:
        """Whether somebody put a file named ``stop`` here; it is taken away."""
        if not self._stop.exists():
            return False
        with contextlib.suppress(OSError):  # a folder, or not ours to remove: asked is asked
            self._stop.unlink()
        return True

    def _sweep(self) -> None:
        """Remove what a killed run left half written."""
        for folder in (self.folder, self.checkpoints, self.previews):
            if folder.is_dir():
                for leftover in filter(_is_leftover, folder.iterdir()):
                    leftover.unlink()

    def _foreign(self) -> Iterator[Path]:
        """What lies in a folder where no run was begun, but for what a run killed in its first moments leaves."""
        return (e for e in self.folder.iterdir() if e.name not in (".lock", "stop") and not _is_leftover(e))


def _is_leftover(path: Path) -> bool:
    """Whether a file is one that was being written beside its place."""
    return bool(_LEFTOVER.fullmatch(path.name)) and path.is_file()
