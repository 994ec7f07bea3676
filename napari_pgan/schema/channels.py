"""Modalities, segmentation labels and display groups of an image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError


@dataclass(frozen=True)
class Label:
    """One class of a segmentation.

    Parameters
    ----------
    value
        Value in the label map, 1 to 255, unchanged from the source (BraTS: 1, 2, 4). 0 is background.
    name
        Display name.
    color
        ``#rrggbb``.
    """

    value: int
    name: str
    color: str

    def __post_init__(self) -> None:
        if not 1 <= self.value <= 255:
            raise InputError(
                f"label {self.name!r} has the value {self.value}; values go from 1 to 255 (0 is background)"
            )
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.color):
            raise InputError(f"label {self.name!r} has the colour {self.color!r}; write it as #rrggbb")

    @property
    def rgb(self) -> tuple[float, float, float]:
        """Red, green and blue, each in [0, 1]."""
        r, g, b = (int(self.color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return r, g, b


@dataclass(frozen=True)
class DisplayGroup:
    """Modalities shown as one image: a single one in grey, or three as red, green and blue."""

    name: str
    modalities: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.modalities) not in (1, 3):
            raise InputError(
                f"display group {self.name!r} has {len(self.modalities)} modalities; give it one (grey) or three (RGB)"
            )

    @property
    def is_rgb(self) -> bool:
        return len(self.modalities) == 3


@dataclass(frozen=True)
class Channels:
    """Modalities, labels and display groups of an image.

    Parameters
    ----------
    modalities
        Names in channel order.
    labels
        Segmentation classes in one-hot channel order; may be empty.
    groups
        Display groups. If empty, each modality gets a group of its own.
    """

    modalities: tuple[str, ...]
    labels: tuple[Label, ...] = ()
    groups: tuple[DisplayGroup, ...] = ()

    def __post_init__(self) -> None:
        if not self.modalities:
            raise InputError("no modality is named; an image needs at least one")
        _check_unique("modality", self.modalities)
        _check_unique("label value", [label.value for label in self.labels])
        _check_unique("label name", [label.name for label in self.labels])
        if not self.groups:
            object.__setattr__(self, "groups", tuple(DisplayGroup(m, (m,)) for m in self.modalities))
        for group in self.groups:
            for name in set(group.modalities) - set(self.modalities):
                raise InputError(
                    f"display group {group.name!r} names {name!r}, which is not a modality; "
                    f"name one of {', '.join(self.modalities)}"
                )

    @property
    def values(self) -> np.ndarray:
        """Label values in the order of the labels, uint8."""
        return np.array([label.value for label in self.labels], np.uint8)

    def label(self, name: str) -> Label:
        """Return the label called `name`."""
        for label in self.labels:
            if label.name == name:
                return label
        known = ", ".join(label.name for label in self.labels) or "none"
        raise InputError(f"there is no label {name!r}; known labels: {known}")

    def undeclared(self, labels: np.ndarray) -> list[int]:
        """Return the values of a label map that are neither background nor declared, sorted."""
        return sorted(set(np.unique(labels).tolist()) - {0, *self.values.tolist()})

    def to_dict(self) -> dict[str, Any]:
        """Convert to a JSON-serialisable dict."""
        return {
            "modalities": list(self.modalities),
            "labels": [{"value": x.value, "name": x.name, "color": x.color} for x in self.labels],
            "groups": [{"name": g.name, "modalities": list(g.modalities)} for g in self.groups],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Channels:
        """Create from the output of `to_dict`."""
        return cls(
            tuple(data["modalities"]),
            tuple(Label(int(x["value"]), x["name"], x["color"]) for x in data["labels"]),
            tuple(DisplayGroup(g["name"], tuple(g["modalities"])) for g in data.get("groups", ())),
        )


def _check_unique(what: str, values: Sequence[object]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise InputError(f"{what} {value!r} is listed twice; list each one once")
