"""Which channel is which modality, and which label value is what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_pgan.errors import InputError


@dataclass(frozen=True)
class Label:
    """One class of a segmentation.

    Parameters
    ----------
    value
        The value in the label map, 1 to 255; kept as the source has it (BraTS: 1, 2, 4). 0 is background.
    name
        What it is, for people.
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
        """Red, green and blue, each 0 to 1."""
        r, g, b = (int(self.color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return r, g, b


@dataclass(frozen=True)
class DisplayGroup:
    """Modalities that are shown as one picture: one of them in grey, or three as red, green and blue."""

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
    """The channels of an image, in order, the labels of its segmentation, and how both are shown.

    Parameters
    ----------
    modalities
        Names, in the order of the image's channels.
    labels
        The segmentation's classes, in the order of their channels when they are one-hot; may be empty.
    groups
        What is shown together. Left empty, every modality is shown by itself.
    """

    modalities: tuple[str, ...]
    labels: tuple[Label, ...] = ()
    groups: tuple[DisplayGroup, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.modalities:
            raise InputError("no modality is named; an image has one at least")
        _refuse_twice("modality", self.modalities)
        _refuse_twice("label value", [label.value for label in self.labels])
        _refuse_twice("label name", [label.name for label in self.labels])
        if not self.groups:
            object.__setattr__(self, "groups", tuple(DisplayGroup(m, (m,)) for m in self.modalities))
        for group in self.groups:
            for name in group.modalities:
                if name not in self.modalities:
                    raise InputError(f"display group {group.name!r} names {name!r}, which is no modality here")

    @property
    def values(self) -> np.ndarray:
        """The label values in the order of the labels, uint8."""
        return np.array([label.value for label in self.labels], np.uint8)

    def label(self, name: str) -> Label:
        """The label of that name."""
        for label in self.labels:
            if label.name == name:
                return label
        raise InputError(f"there is no label {name!r}; there are {', '.join(x.name for x in self.labels) or 'none'}")

    def undeclared(self, labels: np.ndarray) -> list[int]:
        """The values in a label map that are neither background nor declared."""
        return sorted(set(np.unique(labels).tolist()) - {0, *self.values.tolist()})

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "modalities": list(self.modalities),
            "labels": [{"value": x.value, "name": x.name, "color": x.color} for x in self.labels],
            "groups": [{"name": g.name, "modalities": list(g.modalities)} for g in self.groups],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Channels:
        """From what `to_dict` gave."""
        return cls(
            tuple(data["modalities"]),
            tuple(Label(int(x["value"]), x["name"], x["color"]) for x in data["labels"]),
            tuple(DisplayGroup(g["name"], tuple(g["modalities"])) for g in data.get("groups", ())),
        )


def _refuse_twice(what: str, values: Sequence[object]) -> None:
    for value in values:
        if list(values).count(value) > 1:
            raise InputError(f"{what} {value!r} stands twice; each must be there once")
