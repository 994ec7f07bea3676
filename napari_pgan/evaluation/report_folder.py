"""The folder of an evaluation: its settings, and the result of each measure as soon as it is available."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError
from napari_pgan.evaluation.to_json import to_json

_MANIFEST = "evaluation.json"
_FORMAT = 1
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+")


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Return a hash of JSON values as 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class MeasureResult:
    """The stored result of a measure.

    Parameters
    ----------
    result
        JSON values.
    seconds
        Run time: ``"own"``, and the time of each shared step that this measure was the first to need.
    date
        YYYY-MM-DD.
    versions
        Package → version.
    """

    result: dict[str, Any]
    seconds: dict[str, float]
    date: str
    versions: dict[str, str]


class ReportFolder:
    """A folder with one complete or partial evaluation.

    Parameters
    ----------
    path
        Created by `claim` if it is missing.
    facts
        What determines the results: model, store, samples, seed, features, and steps if they are not the default.

    Raises
    ------
    InputError
        The folder contains another evaluation, or something else.
    """

    def __init__(self, path: Path, facts: Mapping[str, Any]) -> None:
        self.path, self.facts = path, dict(facts)
        self.encoder, self.pairs, self.charts = path / "encoder.safetensors", path / "pairs", path / "charts"
        self.page, self.data, self.sheet = path / "report.html", path / "report.json", path / "samples.png"
        self._measures = path / "measures"
        self._check_contents()

    def claim(self) -> None:
        """Create the folder and its manifest; remove temporary files of a killed evaluation."""
        self.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.path, self._measures, self.charts, self.pairs):
            for file in folder.iterdir() if folder.is_dir() else ():
                if _TEMPORARY.fullmatch(file.name) and file.is_file():
                    file.unlink()
        manifest = {"format": _FORMAT, "fingerprint": fingerprint(self.facts), **self.facts}
        write_text(self.path / _MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")

    def read(self, name: str, version: Any) -> MeasureResult | None:
        """Return the stored result of a measure if it was computed with this version and these options."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads((self._measures / f"{name}.json").read_text("utf-8"))
            if stored["fingerprint"] == self._fingerprint(name, version):
                return MeasureResult(stored["result"], stored["seconds"], stored["date"], stored["versions"])
        return None

    def write(self, name: str, version: Any, result: MeasureResult) -> None:
        """Store the result of a measure."""
        data = {"measure": name, "fingerprint": self._fingerprint(name, version), **to_json(result)}
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(self._measures / f"{name}.json", text + "\n")

    def _fingerprint(self, name: str, version: Any) -> str:
        return fingerprint({**self.facts, "measure": name, "version": version})

    def _check_contents(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: is a file; give another --out")
        manifest = self.path / _MANIFEST
        if manifest.is_file():
            try:
                stored = json.loads(manifest.read_text("utf-8"))
                theirs = stored["fingerprint"]
            except (OSError, ValueError, KeyError, TypeError):
                raise InputError(f"{manifest}: cannot be read; give another --out") from None
            if theirs != fingerprint(self.facts):
                names = sorted({**stored, **self.facts}.keys() - {"format", "fingerprint"})
                other = [name for name in names if stored.get(name) != self.facts.get(name)]
                raise InputError(
                    f"{self.path}: contains another evaluation (other {', '.join(other) or 'format'}); "
                    "give another --out"
                )
        elif self.path.is_dir() and any(not _TEMPORARY.fullmatch(x.name) for x in self.path.iterdir()):
            raise InputError(f"{self.path}: already contains other files; give another --out")
