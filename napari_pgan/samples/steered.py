"""Write results of steering to files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.atomic import write_text
from napari_pgan.latent.steering import Candidates, TargetAreas, TargetMask
from napari_pgan.latent.steering.target_areas import areas_of
from napari_pgan.model import Model
from napari_pgan.samples.nifti import sample_files, write_sample
from napari_pgan.samples.npz import write_npz
from napari_pgan.samples.output_folder import claim
from napari_pgan.samples.provenance import provenance
from napari_pgan.samples.sheet import write_sheet

NOTE, REPORT = "steer.json", "report.json"


@dataclass(frozen=True)
class SteeringSearch:
    """A steering search and its settings.

    Parameters
    ----------
    model
        The model.
    target
        A mask or areas.
    settings
        All other settings that affect the result, as JSON values.
    conditions
        See `Model.sample`.
    preserved
        (Y, X) bool: region of the image to preserve; None to preserve nothing.
    source
        Origin of the mask as JSON values: ``sha256`` of its file and ``slice``; the file name is not stored.
    """

    model: Model
    target: TargetMask | TargetAreas
    settings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, str | float] = field(default_factory=dict)
    preserved: np.ndarray | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def messages(self) -> list[str]:
        """Messages about the conversion of the mask."""
        return list(self.target.messages) if isinstance(self.target, TargetMask) else []

    @property
    def fingerprint(self) -> str:
        """32 hex digits, equal for equal searches."""
        asked = [
            self.model.identity, self.asked(), dict(self.settings), sorted(self.conditions.items()), self.messages,
            dict(self.source),
        ]  # fmt: skip
        if isinstance(self.target, TargetMask):
            drawn = np.where(self.target.open, -1, self.target.labels.astype(np.int16))
            asked.append(hashlib.sha256(np.ascontiguousarray(drawn, "<i2").tobytes()).hexdigest())
        if self.preserved is not None:
            asked.append(hashlib.sha256(np.packbits(self.preserved).tobytes()).hexdigest())
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]

    def asked(self) -> dict[str, Any]:
        """Return the target as JSON values."""
        if isinstance(self.target, TargetMask):
            return {"areas": self._areas(self.target.labels), "any": int(self.target.open.sum())}
        target, names = self.target, {label.value: label.name for label in self.target.channels.labels}
        return {
            "areas": {names[value]: area for value, area in target.areas.items()},
            "lesion": target.lesion,
            "shares": {names[value]: share for value, share in target.shares.items()},
            "side": target.side,
        }

    def report(self, found: Candidates) -> dict[str, Any]:
        """Return target and results as JSON values."""
        card = self.model.card
        return {
            "limits": card.limits,
            "model": card.name,
            "model_identity": self.model.identity,
            "asked": self.asked(),
            "mask": dict(self.source) or None,
            "told": self.messages,
            "settings": dict(self.settings),
            "steps": found.steps,
            "seconds": round(found.seconds, 2),
            "candidates": [self.candidate(found, row) for row in range(len(found))],
        }

    def _areas(self, labels: np.ndarray) -> dict[str, float]:
        return areas_of(labels, self.model.card.channels, self.model.card.grid)

    def candidate(self, found: Candidates, row: int) -> dict[str, Any]:
        """Return the measurements of one candidate as JSON values."""
        labels = found.labels[row]
        facts: dict[str, Any] = {"score": round(float(found.scores[row]), 4), "areas": self._areas(labels)}
        if isinstance(self.target, TargetMask):
            dice = self.target.dice(labels[None])[0]
            names = [label.name for label in self.target.channels.labels]
            facts["dice"] = {name: round(float(d), 4) for name, d in zip(names, dice, strict=True) if np.isfinite(d)}
        else:
            facts["found"] = {name: round(value, 4) for name, value in self.target.measure(labels).items()}
        if found.moved is not None:
            facts["moved"] = round(float(found.moved[row]), 4)
        if found.refined[row]:
            facts["offsets"] = [round(float(part[row].square().mean().sqrt()), 4) for part in found.offsets]
        return facts


def finished_report(search: SteeringSearch, out: str | Path) -> dict[str, Any] | None:
    """Return the report if the folder contains complete results of the same search; None otherwise."""
    try:
        noted = json.loads((Path(out) / NOTE).read_text(encoding="utf-8"))
        report: dict[str, Any] = json.loads((Path(out) / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(noted, dict) or noted.get("fingerprint") != search.fingerprint or report.get("stopped"):
        return None
    channels = search.model.card.channels
    files = [Path(out) / name for name in ("sheet.png", "candidates.npz")]
    for row in range(1, len(report.get("candidates", [])) + 1):
        files += sample_files(out, f"candidate-{row}", channels)
    if isinstance(search.target, TargetMask):
        files += sample_files(out, "asked", channels, images=False)
    return report if all(file.is_file() for file in files) else None


def claim_folder(search: SteeringSearch, out: str | Path) -> None:
    """Claim the folder for this search; raises InputError if it contains something else (see `claim`)."""
    card = search.model.card
    noted = {"limits": card.limits, "model": card.name, "model_identity": search.model.identity}
    claim(Path(out), NOTE, search.fingerprint, noted)


def write_candidates(search: SteeringSearch, found: Candidates, out: str | Path, stopped: bool = False) -> list[Path]:
    """Write candidates and the target into a folder claimed by `claim_folder`; removes stale output.

    Writes each candidate's images and segmentation with a sidecar (``candidate-1_t1.nii.gz``, …), the mask
    (``asked_seg.nii.gz``), a sheet (``sheet.png``), arrays (``candidates.npz``, with latents, feature offsets and the
    preserved region ``stays``), and finally ``report.json``, which also states whether the search was stopped early.
    """
    out, model = Path(out), search.model
    card = model.card
    (out / REPORT).unlink(missing_ok=True)
    for row in range(len(found), int(search.settings.get("candidates", 0))):
        for file in sample_files(out, f"candidate-{row + 1}", card.channels):
            file.unlink(missing_ok=True)
    report, written = {**search.report(found), **({"stopped": True} if stopped else {})}, []
    batch = model.sample(latents=found.latents, offsets=found.offsets, conditions=search.conditions)

    def origin(row: int) -> dict[str, Any]:
        what = provenance(
            card, model.identity, None, found.latents[row], 1.0, search.conditions, refined=found.refined[row]
        )
        return {**what, "steered": report["candidates"][row], "asked": report["asked"], "mask": report["mask"]}

    for row in range(len(found)):
        written += write_sample(
            out, f"candidate-{row + 1}", batch.images[row], batch.labels[row], batch.grid, card.channels,
            origin(row), card.intensity, card.limits,
        )  # fmt: skip
    if isinstance(search.target, TargetMask):
        drawn = {"software": provenance(card, model.identity, None, found.latents[0])["software"], "synthetic": False}
        written += write_sample(
            out, "asked", None, search.target.labels, batch.grid, card.channels, drawn, None, card.limits
        )
    rows = [f"{row + 1}: {score:.2f}" for row, score in enumerate(found.scores)]
    write_sheet(out / "sheet.png", batch.images, batch.labels, card.channels, rows, note=search.fingerprint)
    more = {"scores": found.scores, **({} if search.preserved is None else {"stays": search.preserved})}
    write_npz(out / "candidates.npz", batch, model, search.fingerprint, more)
    write_text(out / REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return [*written, out / "sheet.png", out / "candidates.npz", out / REPORT]
