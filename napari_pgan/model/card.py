"""Model card: the description stored in a model file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.model.encoders import EncoderShape
from napari_pgan.model.label_encoding import Encoding, Kind
from napari_pgan.model.networks import Architecture
from napari_pgan.schema import Channels, Grid

FORMAT_VERSION = 1
LIMITS = "Synthetic images, not for diagnosis."


@dataclass(frozen=True)
class Condition:
    """An input of the generator in addition to the latent.

    Parameters
    ----------
    name
        Name of the condition.
    levels
        Values of a category; appended to the latent one-hot.
    range
        Minimum and maximum of a number; it is scaled to [-1, 1] and appended to the latent.
    """

    name: str
    levels: tuple[str, ...] = ()
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.range is not None and not -float("inf") < self.range[0] < self.range[1] < float("inf"):
            raise InputError(f"the condition {self.name!r} has the invalid range {self.range[0]} to {self.range[1]}")

    @property
    def size(self) -> int:
        """Number of values appended to the latent."""
        return len(self.levels) if self.levels else 1

    def encode(self, value: str | float) -> list[float]:
        """Return the numbers that encode a value; raises InputError if it is out of range or unknown."""
        if self.levels:
            if str(value) not in self.levels:
                raise InputError(f"{self.name} cannot be {value!r}; it is one of {', '.join(self.levels)}")
            return [float(level == str(value)) for level in self.levels]
        low, high = self.range or (0.0, 1.0)
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise InputError(f"{self.name} cannot be {value!r}; it is a number from {low:g} to {high:g}")
        return [2 * (number - low) / (high - low) - 1]

    def to_dict(self) -> dict[str, Any]:
        if self.levels:
            return {"name": self.name, "kind": "category", "levels": list(self.levels)}
        return {"name": self.name, "kind": "number", "range": list(self.range or (0.0, 1.0))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Condition:
        if data["kind"] == "category":
            return cls(data["name"], levels=tuple(str(x) for x in data["levels"]))
        if data["kind"] == "number":
            return cls(data["name"], range=(float(data["range"][0]), float(data["range"][1])))
        raise InputError(f"condition {data['name']!r} has the unknown kind {data['kind']!r}; give category or number")


@dataclass(frozen=True)
class Card:
    """The description stored in a model file.

    Parameters
    ----------
    name
        A short display name.
    architecture, channels, encoding, grid
        Description of the generator and its output; `grid` belongs to the last stage.
    intensity
        Modality → meaning of −1 and +1: ``{"-1": …, "+1": …}``.
    conditions
        Inputs of the generator in addition to the latent.
    training
        Recipe, images seen, cohort, counts, salted subject hashes, code version, date, measures.
    licence, limits
        Terms of use, and intended use.
    encoders
        Sizes and measurements of the encoders in the file; empty without encoders.
    """

    name: str
    architecture: Architecture
    channels: Channels
    grid: Grid
    encoding: Kind = "onehot"
    intensity: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "not stated"
    limits: str = LIMITS
    encoders: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        a, count = self.architecture, Encoding(self.channels, self.encoding).channel_count
        if a.channels != count:
            raise InputError(f"the card names {count} channels, but its networks generate {a.channels}")
        if self.grid.shape != a.shape(a.stages - 1):
            raise InputError(f"the card's grid is {self.grid.shape}, but its networks generate {a.shape(a.stages - 1)}")
        if a.conditions != sum(c.size for c in self.conditions):
            numbers = sum(c.size for c in self.conditions)
            raise InputError(f"the card's conditions have {numbers} numbers, but its networks take {a.conditions}")

    @property
    def default_conditions(self) -> dict[str, str | float]:
        """Default of each condition: the first level, or the middle of the range."""
        return {c.name: c.levels[0] if c.levels else sum(c.range or (0.0, 1.0)) / 2 for c in self.conditions}

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format_version": self.format_version,
            "name": self.name,
            "architecture": self.architecture.to_dict(),
            "channels": {**self.channels.to_dict(), "encoding": self.encoding},
            "grid": self.grid.to_dict(),
            "intensity": {k: dict(v) for k, v in self.intensity.items()},
            "conditions": [c.to_dict() for c in self.conditions],
            "training": dict(self.training),
            "licence": self.licence,
            "limits": self.limits,
            **({"encoders": dict(self.encoders)} if self.encoders else {}),
        }

    @classmethod
    def from_json(cls, text: str, where: str) -> Card:
        """Read and check a card.

        Parameters
        ----------
        text
            The JSON.
        where
            The file, for messages.

        Raises
        ------
        InputError
            The card has a newer format, lacks a key, or is inconsistent.
        """
        try:
            data = json.loads(text)
            version = data["format_version"]
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{where}: its card cannot be read; export the model again") from None
        if version != FORMAT_VERSION:
            raise InputError(
                f"{where}: its format is {version}, this version of napari-pgan reads {FORMAT_VERSION}; "
                "update napari-pgan"
            )
        try:
            _refuse_wrong_types(data)
            return cls(
                name=data["name"],
                architecture=Architecture.from_dict(data["architecture"]),
                channels=Channels.from_dict(data["channels"]),
                grid=Grid.from_dict(data["grid"]),
                encoding=data["channels"]["encoding"],
                intensity=data["intensity"],
                conditions=tuple(Condition.from_dict(c) for c in data["conditions"]),
                training=data["training"],
                licence=data["licence"],
                limits=data["limits"],
                encoders=data.get("encoders", {}),
            )
        except KeyError as missing:
            raise InputError(f"{where}: its card lacks {missing}; export the model again") from None
        except (TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
            raise InputError(f"{where}: its card is inconsistent ({error}); export the model again") from None
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


def _refuse_wrong_types(data: Mapping[str, Any]) -> None:
    """Raise TypeError for values that the classes of the card's parts do not check."""
    for name in ("name", "licence", "limits"):
        if not isinstance(data[name], str):
            raise TypeError(f"{name} is not a text")
    for name in ("intensity", "training"):
        if not isinstance(data[name], Mapping):
            raise TypeError(f"{name} is not a mapping")
    for modality, ends in data["intensity"].items():
        if not isinstance(ends, Mapping) or not all(isinstance(end, str) for end in ends.values()):
            raise TypeError(f"the intensity of {modality} is not a mapping of texts")
    if encoders := data.get("encoders"):
        if not isinstance(encoders, Mapping):
            raise TypeError("encoders is not a mapping")
        if not EncoderShape.from_dict(encoders).stage < len(data["architecture"]["widths"]):
            raise TypeError("the stage of the encoders does not exist")
    a = data["architecture"]
    numbers = [*a["base"], *a["widths"], a["channels"], a["latent"], a["conditions"], a["stddev_group"]]
    numbers.append(a.get("labels", 0))
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= 2**20 for n in numbers):
        raise TypeError("the architecture's numbers are not whole numbers from 0 to 1048576")
    shares = [a.get("label_share", 0.0), a.get("image_critic", 0.0)]
    if not all(isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x <= 1 for x in shares):
        raise TypeError("the architecture's shares are not numbers from 0 to 1")
