"""A target given by numbers: areas, shares of the lesion, and the side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch

from napari_pgan.errors import InputError
from napari_pgan.latent.steering.objective import label_logits
from napari_pgan.latent.steering.target import Loss
from napari_pgan.model.label_encoding import Encoding
from napari_pgan.schema import Channels, Grid

_MIN_AREA = 4.0  # pixels; relative errors of areas are relative to at least this
_SHARPER = 4.0  # factor on the logits of drawings: areas sum over all pixels, so empty pixels must count almost nothing
_MIN_SHARE = 64  # of 255; smaller shares would add up to more than the decoded labels
Side = Literal["left", "right"]


@dataclass(frozen=True)
class TargetAreas:
    """Areas, shares and side of the lesion (all labels together) and of single labels.

    Parameters
    ----------
    channels, grid
        The model's.
    areas
        Label value → area in mm², or in pixels if the grid has no spacing.
    lesion
        Area of all labels together, in the same unit.
    shares
        Label value → its share of the lesion, 0 to 1.
    side
        The patient's side; the picture's if the grid has no orientation.

    Raises
    ------
    InputError
        There is no target, a label is unknown, an area or share is impossible, or the slices have no sides.
    """

    channels: Channels
    grid: Grid
    areas: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    lesion: float | None = None
    shares: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    side: Side | None = None

    def __post_init__(self) -> None:
        known = self.channels.values.tolist()
        if unknown := sorted({*self.areas, *self.shares} - set(known)):
            raise InputError(f"the model has no label {unknown[0]}; it has {', '.join(map(str, known)) or 'none'}")
        if not self.areas and not self.shares and self.lesion is None and self.side is None:
            raise InputError("the target is empty; give an area, a share or a side")
        whole = self.grid.pixel_area * float(np.prod(self.grid.shape))
        for area in [*self.areas.values(), *([] if self.lesion is None else [self.lesion])]:
            if not 0 <= area <= whole:
                raise InputError(f"an area of {area:g} {self.grid.area_unit} is impossible; the image has {whole:g}")
        if not all(0 <= share <= 1 for share in self.shares.values()) or sum(self.shares.values()) > 1 + 1e-6:
            raise InputError("shares of the lesion must be from 0 to 1 and add up to no more than 1")
        if self.side not in (None, "left", "right"):
            raise InputError(f"there is no side {self.side!r}; give left or right")
        if self.side is not None and self.grid.lateral_axis is None:
            raise InputError("these slices show one side only; give areas instead")

    def objective(self, encoding: Encoding, factor: int = 1) -> Loss:
        """Return the squared errors of log areas, of shares, and of the part on the other side; see `Target`."""

        def loss(x: torch.Tensor) -> torch.Tensor:
            return self._distance((_SHARPER * label_logits(x, encoding)).softmax(dim=1)[:, 1:], factor)

        return loss

    def similarity(self, shares: torch.Tensor, factor: int) -> torch.Tensor:
        """Return the similarity of label shares; see `Target`."""
        parts = [self._distance(part.where(part >= _MIN_SHARE, 0).float() / 255, factor) for part in shares.split(1024)]
        return -torch.cat(parts)

    def score(self, labels: np.ndarray) -> np.ndarray:
        """Return 1 minus the mean error, at least 0: relative errors of areas, absolute ones of shares and side.

        An image without a lesion gets the full error of the side.
        """
        each = np.stack([(labels == value) for value in self.channels.values], axis=1).astype(np.float64)
        return 1 - np.stack(self._errors(each), axis=1).clip(0, 1).mean(axis=1)

    def measure(self, labels: np.ndarray) -> dict[str, float]:
        """Return areas by label name, the lesion's area, shares, and the share on the left, of one label map (Y, X)."""
        areas = areas_of(labels, self.channels, self.grid)
        lesion = sum(areas.values())
        shares = {f"{name}, share": area / lesion for name, area in areas.items() if lesion}
        on_left = (
            float((labels > 0)[self._on("left")].sum() * self.grid.pixel_area)
            if self.grid.lateral_axis is not None
            else 0.0
        )
        return {**areas, "lesion": lesion, **shares, **({"left": on_left / lesion} if lesion else {})}

    def _errors(self, each: np.ndarray) -> list[np.ndarray]:
        areas, (lesion, here) = each.sum((2, 3)), self._sided(torch.from_numpy(each))
        whole, errors = lesion.numpy(), []
        for wanted, actual in self._area_pairs(torch.from_numpy(areas), lesion):
            errors.append(np.abs(actual.numpy() - wanted) / max(wanted, _MIN_AREA))
        for value, share in self.shares.items():
            mine = areas[:, self._index(value)]
            errors.append(np.where(whole > 0, np.abs(mine / np.maximum(whole, 1) - share), 1.0))
        if self.side is not None:
            errors.append(np.where(whole > 0, 1 - here.numpy() / np.maximum(whole, 1), 1.0))
        return errors

    def _distance(self, each: torch.Tensor, factor: int) -> torch.Tensor:
        """Return the distance of label probabilities (N, K, y, x)."""
        scale = factor**2  # pixels at full size in one
        areas, (lesion, here) = each.sum((2, 3)) * scale, (part * scale for part in self._sided(each, factor))
        far = torch.zeros(len(each), device=each.device)
        for wanted, actual in self._area_pairs(areas, lesion):
            far = far + (torch.log(actual + _MIN_AREA) - np.log(wanted + _MIN_AREA)) ** 2
        for value, share in self.shares.items():
            far = far + 4 * (areas[:, self._index(value)] / (lesion + _MIN_AREA) - share) ** 2
        if self.side is not None:
            far = far + (1 - here / (lesion + _MIN_AREA)) ** 2
        return far

    def _area_pairs(self, areas: torch.Tensor, lesion: torch.Tensor) -> list[tuple[float, torch.Tensor]]:
        """Return pairs of target area and actual area, in pixels."""
        pairs = [(area / self.grid.pixel_area, areas[:, self._index(value)]) for value, area in self.areas.items()]
        return [*pairs, *([] if self.lesion is None else [(self.lesion / self.grid.pixel_area, lesion)])]

    def _sided(self, each: torch.Tensor, factor: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pixels of the lesion, and those of them on the target's side."""
        lesion = each.sum(1)
        if self.side is None:
            return lesion.sum((1, 2)), lesion.sum((1, 2))
        return lesion.sum((1, 2)), lesion[(slice(None), *self._on(self.side, factor))].sum((1, 2))

    def _on(self, side: Side, factor: int = 1) -> tuple[slice, ...]:
        """Return the slices of a side, for images smaller by `factor`."""
        axis = self.grid.lateral_axis
        assert axis is not None
        letter = "R" if self.grid.orientation is None else self.grid.orientation[axis]  # columns grow to the right
        size = self.grid.shape[axis] // factor
        upper = letter == side[0].upper()
        part = slice((size + 1) // 2, None) if upper else slice(0, size // 2)
        return tuple(part if i - 2 == axis else slice(None) for i in range(2))

    def _index(self, value: int) -> int:
        return self.channels.values.tolist().index(value)


def areas_of(labels: np.ndarray, channels: Channels, grid: Grid) -> dict[str, float]:
    """Return the area of each label of a map (Y, X) by name, in mm², or in pixels if the grid has no spacing."""
    return {label.name: float((labels == label.value).sum()) * grid.pixel_area for label in channels.labels}
