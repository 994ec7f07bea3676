"""The folder of an evaluation: what it is of, and each measure's result as soon as there is one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError
from napari_pgan.evaluation.to_json import plain

_NOTE = "evaluation.json"
_FORMAT = 1
_LEFTOVER = re.compile(r"\.[0-9a-f]{8}\..+")


def fingerprint(facts: Mapping[str, Any]) -> str:
    """16 hex digits of facts that JSON can hold."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Finished:
    """A measure that was taken.

    Parameters
    ----------
    result
        What it found, as JSON has it.
    seconds
        How long it took: ``"own"``, and by name what it was the first to need of what measures share.
    date
        When, as YYYY-MM-DD.
    versions
        Package → version.
    """

    result: dict[str, Any]
    seconds: dict[str, float]
    date: str
    versions: dict[str, str]


class Folder:
    """A folder that holds one evaluation, whole or in part.

    Parameters
    ----------
    path
        Made when it is missing.
    facts
        What decides the figures: model, store, samples, seed, features, and steps where they are not the usual ones.

    Raises
    ------
    InputError
        The folder holds another evaluation, or something else.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path, self.facts = path, dict(facts)
        self.encoder, self.pairs, self.charts = path / "encoder.safetensors", path / "pairs", path / "charts"
        self.page, self.data, self.sheet = path / "report.html", path / "report.json", path / "samples.png"
        self._refuse_others()

    def claim(self) -> None:
        """Make the folder this evaluation's; what a killed one left half written is removed."""
        self.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.path, self._measures, self.charts, self.pairs):
            for leftover in folder.iterdir() if folder.is_dir() else ():
                if _LEFTOVER.fullmatch(leftover.name) and leftover.is_file():
                    leftover.unlink()
        note = {"format": _FORMAT, "fingerprint": fingerprint(self.facts), **self.facts}
        write_text(self.path / _NOTE, json.dumps(note, indent=1, ensure_ascii=False) + "\n")

    def read(self, name: str, version: Any) -> Finished | None:
        """What a measure found, if it was taken by that version of it and its options."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads((self._measures / f"{name}.json").read_text("utf-8"))
            if found["fingerprint"] == self._of(name, version):
                return Finished(found["result"], found["seconds"], found["date"], found["versions"])
        return None

    def write(self, name: str, version: Any, finished: Finished) -> None:
        """Keep what a measure found."""
        data = {"measure": name, "fingerprint": self._of(name, version)}
        data |= plain(asdict(finished))
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(self._measures / f"{name}.json", text + "\n")

    @property
    def _measures(self) -> Path:
        return self.path / "measures"

    def _of(self, name: str, version: Any) -> str:
        return fingerprint({**self.facts, "measure": name, "version": version})

    def _refuse_others(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: is a file; give another --out")
        note = self.path / _NOTE
        if note.is_file():
            try:
                theirs = json.loads(note.read_text("utf-8"))
                held = theirs["fingerprint"]
            except (OSError, ValueError, KeyError, TypeError):
                raise InputError(f"{note}: cannot be read; give another --out") from None
            if held != fingerprint(self.facts):
                known = {**theirs, **self.facts}.keys() - {"format", "fingerprint"}
                other = [k for k in sorted(known) if theirs.get(k) != self.facts.get(k)]
                raise InputError(
                    f"{self.path}: holds another evaluation (other {', '.join(other) or 'format'}); give another --out"
                )
        elif self.path.is_dir() and any(not _LEFTOVER.fullmatch(x.name) for x in self.path.iterdir()):
            raise InputError(f"{self.path}: is there already and holds something else; give another --out")
