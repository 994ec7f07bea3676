"""Result of a preparation: prepared and rejected subjects, and notes for visual inspection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_pgan.imaging.registration.quality import LIMITS
from napari_pgan.store import SPLITS

NO_PICTURES = (
    "without pictures and transforms, because an earlier run prepared them without this folder; prepare into a new "
    "store to create them"
)
MIN_COVERAGE = 0.9  # fraction of the head; modalities that cover less are reported


@dataclass(frozen=True)
class RejectedSubject:
    """A rejected subject; the name is for the terminal, the key for the store.

    `figures` describes a failed registration.
    """

    name: str
    key: str
    reason: str
    figures: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class PreparationReport:
    """Result of `prepare`.

    Parameters
    ----------
    name
        Name of the cohort.
    found
        Number of subjects in the source.
    new
        Number of subjects finished by this run.
    rejected
        Rejected subjects of the source.
    subjects
        Attributes of all subjects in the store, by key.
    names
        Names of the subjects in the source, by key; for the terminal only.
    field_of_view, size, axis
        Field of view in mm (0 for photographs), pixels per side and axis of the slices.
    seconds
        Duration of this run.
    without_pictures
        Number of subjects on the quality page without pictures.
    requested
        Persons requested in train, val and test, if given as numbers.
    """

    name: str
    found: int
    new: int
    rejected: tuple[RejectedSubject, ...]
    subjects: Mapping[str, Mapping[str, Any]] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    field_of_view: float
    size: int
    axis: str
    seconds: float
    without_pictures: int = 0
    requested: tuple[int, int, int] | None = None

    def to_dict(self, with_names: bool) -> dict[str, Any]:
        """Convert to a JSON-serialisable dict; the copy in the store has no names."""
        about = list(self.subjects.values())
        splits = [a.get("split") for a in about]
        return {
            "name": self.name,
            "found": self.found,
            "taken": len(about),
            "new": self.new,
            **({"subjects": [self.names.get(key, key) for key in sorted(self.subjects)]} if with_names else {}),
            "set_aside": [
                {**({"name": a.name} if with_names else {}), "key": a.key, "reason": a.reason} for a in self.rejected
            ],
            "splits": {split: splits.count(split) for split in SPLITS},
            "slices": sum(len(a["slices"]) for a in about),
            "size": self.size,
            "field_of_view": self.field_of_view,
            "axis": self.axis,
            "spacings": [list(s) for s in sorted({tuple(round(x, 4) for x in a["spacing"]) for a in about})],
            "clipped": self._clipped(),
            "cut": max((a["cut"] for a in about), default=0.0),
            "gaps": [
                {**({"name": self.names.get(key)} if with_names else {}), "key": key, "modality": part, "covers": share}
                for key, a in sorted(self.subjects.items())
                for part, share in a.get("coverage", {}).items()
                if a.get("normalisation", {}).get(part, {}).get("stripped") and share < MIN_COVERAGE
            ],
            "sides": [
                {**({"name": self.names.get(key)} if with_names else {}), "key": key, "mirrored": mirrored}
                for key, a in sorted(self.subjects.items())
                if (mirrored := _mirrored(a)) > LIMITS.mirrored
            ],
            "stripped_before": sum(bool(a.get("brain_mask", {}).get("stripped")) for a in about),
            "without_pictures": self.without_pictures,
            "seconds": round(self.seconds, 1),
        }

    def lines(self) -> list[str]:
        """Return the lines for the terminal."""
        data = self.to_dict(with_names=True)
        splits = ", ".join(f"{split} {number}" for split, number in data["splits"].items())
        kind = f"{self.axis} slices" if self.field_of_view else "photographs"
        over = f" over {self.field_of_view:g} mm" if self.field_of_view else ""
        lines = [
            f"{self.name}: {count_subjects(data['taken'])} ({splits}), {data['slices']} {kind} of "
            f"{self.size} x {self.size} pixels{over}; {self.new} new, {self.seconds:.0f} s"
        ]
        if short := self._short():
            lines.append(f"  too few subjects for --split: {short}")
        for spacing in data["spacings"] if self.field_of_view else ():
            lines.append("  spacing (z, y, x): " + " x ".join(f"{s:g}" for s in spacing) + " mm")
        clipped = ", ".join(f"{part} {share['mean']:.2%}" for part, share in data["clipped"].items())
        if clipped:
            lines.append(f"  clipped of the head, on average: {clipped}")
        if data["cut"] > 0:
            lines.append(f"  the field of view crops up to {data['cut']:.1%} of a head")
        if data["stripped_before"]:
            lines.append(f"  {count_subjects(data['stripped_before'])} came without a skull and needed no brain mask")
        for gap in data["gaps"]:
            who = gap["name"] or gap["key"]
            lines.append(f"  check {who}: its {gap['modality']} covers only {gap['covers']:.0%} of the head")
        for sides in data["sides"]:
            lines.append(
                f"  check {sides['name'] or sides['key']}: its mirror image is {sides['mirrored']:.2f} times as "
                "similar to the atlas; left and right may be exchanged"
            )
        if self.without_pictures:
            lines.append(f"  the quality page has {count_subjects(self.without_pictures)} {NO_PICTURES}")
        if self.rejected:
            lines.append(f"Rejected: {len(self.rejected)} of the {self.found} found")
            lines += [f"  {a.name}: {a.reason}" for a in self.rejected]
        return lines

    def _short(self) -> str:
        """Splits with fewer persons than requested; empty if there are none."""
        persons = Counter({a.get("person", key): a["split"] for key, a in self.subjects.items()}.values())
        requested = zip(SPLITS, self.requested or (0, 0, 0), strict=True)
        return ", ".join(f"{split} has {persons[split]} of {n}" for split, n in requested if persons[split] < n)

    def _clipped(self) -> dict[str, dict[str, float]]:
        shares: dict[str, list[float]] = {}
        for about in self.subjects.values():
            for part, scaling in about.get("normalisation", {}).items():
                shares.setdefault(part, []).append(scaling["clipped"])
        return {part: {"mean": float(np.mean(x)), "max": max(x)} for part, x in shares.items()}


def count_subjects(count: int) -> str:
    """Return ``1 subject``, ``2 subjects`` and so on."""
    return f"{count} subject{'s' * (count != 1)}"


def _mirrored(about: Mapping[str, Any]) -> float:
    """Similarity ratio of the mirror image to the atlas; 0 without an atlas."""
    quality = about.get("registration", {}).get("atlas", {}).get("quality", {})
    return float(quality.get("mirrored", 0.0))
