"""The run folder: all files of a training, and its lock."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError
from napari_pgan.training.recipe import Recipe, recipe_from_dict
from napari_pgan.training.schedule import Schedule

_LEFTOVER = re.compile(r"\.[0-9a-f]{8}\..+\.(safetensors|png|gif|jsonl?|yaml)")


@dataclass(frozen=True)
class RunPlan:
    """What a run trains: the content of its ``recipe.yaml``.

    Parameters
    ----------
    recipe
        All of it.
    store, store_fingerprint
        The address of the data, and the hash of their content.
    size
        The last size, in pixels along the longer side.
    images
        The length of the whole training in real images, before it is rounded to whole batches.
    request_hash
        The hash of the request, by which the same command is recognised (key ``wish`` of the file).
    licence
        The terms of use, for the model's card.
    init
        The identity of the model that the training started from, if any.
    grown
        The last stage whose weights were taken over from that model.
    subjects
        How many training subjects are used; None for all.
    """

    recipe: Recipe
    store: str
    store_fingerprint: str
    size: int
    images: int
    request_hash: str
    licence: str = "not stated"
    init: str | None = None
    grown: int | None = None
    subjects: int | None = None

    def schedule(self) -> Schedule:
        """Return what the run trains when."""
        return Schedule(self.recipe, self.size, self.images, self.grown)

    def to_yaml(self) -> str:
        data = {"wish" if f.name == "request_hash" else f.name: getattr(self, f.name) for f in fields(self)}
        data["recipe"] = data.pop("recipe").to_dict()  # at the end
        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def hash_request(*parts: Any) -> str:
    """Return the hash of what a request consists of."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Run:
    """A run folder, which `locked` creates if it is missing."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.checkpoints, self.previews = self.folder / "checkpoints", self.folder / "preview"
        self.model, self.best = self.folder / "model.safetensors", self.folder / "best.safetensors"
        self._metrics, self._status = self.folder / "metrics.jsonl", self.folder / "status.json"
        self._recipe, self._stop = self.folder / "recipe.yaml", self.folder / "stop"
        self._status_time = 0.0

    @property
    def started(self) -> bool:
        """Whether a training was started here."""
        return self._recipe.is_file()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against a second training; the operating system unlocks it when the process ends.

        Raises
        ------
        InputError
            Another process has locked it, or the folder holds other files.
        """
        if self.folder.exists() and (not self.folder.is_dir() or (not self.started and any(self._other_files()))):
            raise InputError(f"{self.folder}: exists and is not a run folder; give another --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{self.folder}: another process is training here; wait for it, or give another --out"
            ) from None
        try:
            self._remove_leftovers()
            yield
        finally:
            lock.release()

    def write_plan(self, plan: RunPlan) -> None:
        write_text(self._recipe, plan.to_yaml())

    def read_plan(self) -> RunPlan:
        """Read the plan of a run; raises InputError if it cannot be read."""
        try:
            data = yaml.safe_load(self._recipe.read_text("utf-8"))
            recipe = recipe_from_dict(data.pop("recipe"), str(self._recipe))
            return RunPlan(recipe=recipe, request_hash=data.pop("wish"), **data)
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError):
            raise InputError(
                f"{self._recipe}: cannot be read, so this run cannot be continued; give another --out"
            ) from None

    def write_status(self, **facts: Any) -> None:
        """Write ``status.json``, with the heartbeat (seconds since 1970) and the process id."""
        status = {**facts, "heartbeat": time.time(), "process": os.getpid()}
        write_text(self._status, json.dumps(status, indent=2) + "\n")
        self._status_time = time.monotonic()

    @property
    def seconds_since_status(self) -> float:
        """Seconds since this process last wrote the status."""
        return time.monotonic() - self._status_time

    def read_status(self) -> dict[str, Any]:
        """Read the last status; empty if there is none."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads(self._status.read_text("utf-8"))
        return {}

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Append a row to ``metrics.jsonl``, whole or not at all; raises InputError if it cannot be written."""
        length = self._metrics_size()
        try:
            with open(self._metrics, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._metrics, length)
            raise self._cannot_write(error) from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read all rows of ``metrics.jsonl`` except a last one that is incomplete."""
        rows = []
        if self._metrics.is_file():
            for line in self._metrics.read_text("utf-8").splitlines():
                with contextlib.suppress(ValueError):
                    rows.append(json.loads(line))
        return rows

    def sync_metrics(self) -> int:
        """Flush ``metrics.jsonl`` to the disk and return its length in bytes."""
        if self._metrics.is_file():
            try:
                with open(self._metrics, "rb+") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise self._cannot_write(error) from error
        return self._metrics_size()

    def truncate_metrics(self, length: int) -> None:
        """Shorten ``metrics.jsonl`` to a length in bytes."""
        if self._metrics_size() > length:
            os.truncate(self._metrics, length)

    def _cannot_write(self, error: OSError) -> InputError:
        reason = error.strerror or error
        return InputError(f"{self._metrics}: cannot be written ({reason}); make room, then repeat the command")

    def _metrics_size(self) -> int:
        return self._metrics.stat().st_size if self._metrics.is_file() else 0

    def take_stop_file(self) -> bool:
        """Tell whether there is a file named ``stop``, and remove it."""
        if not self._stop.exists():
            return False
        with contextlib.suppress(OSError):  # it may be a folder or protected, and still is a request
            self._stop.unlink()
        return True

    def _remove_leftovers(self) -> None:
        """Remove the temporary files of a killed run."""
        for folder in (self.folder, self.checkpoints, self.previews):
            if folder.is_dir():
                for leftover in filter(_is_leftover, folder.iterdir()):
                    leftover.unlink()

    def _other_files(self) -> Iterator[Path]:
        """All files but those of a run that was killed before it wrote its plan."""
        return (e for e in self.folder.iterdir() if e.name not in (".lock", "stop") and not _is_leftover(e))


def _is_leftover(path: Path) -> bool:
    """Tell whether a file is a temporary file of `replacing`."""
    return bool(_LEFTOVER.fullmatch(path.name)) and path.is_file()
