"""A segmentation that is asked for by numbers: how much of what, and on which side."""

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
from napari_pgan.model.encoding import Encoding
from napari_pgan.schema import Channels, Grid

_LEAST = 4.0  # pixels: errors of areas are relative to no less
_SHARPER = 4.0  # times the logits of drawings: areas add up all pixels, so what a clean one counts must be next to none
_NONE = 64  # of 255: smaller shares would add up to more than what is decoded from them
Side = Literal["left", "right"]


@dataclass(frozen=True)
class TargetAreas:
    """What is asked of all labels together, the lesion, and of each.

    Parameters
    ----------
    channels, grid
        The model's.
    areas
        Label value → area, in mm², or in pixels where the grid has no spacing.
    lesion
        The area of all labels together, likewise.
    shares
        Label value → its share of the lesion, 0 to 1.
    side
        Of the patient; of the picture where the grid has no orientation.

    Raises
    ------
    InputError
        Nothing is asked, a label is unknown, an area or share is impossible, or the slices have no sides.
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
            raise InputError("nothing is asked for; give an area, a share or a side")
        whole = self.grid.pixel_area * float(np.prod(self.grid.shape))
        for area in [*self.areas.values(), *([] if self.lesion is None else [self.lesion])]:
            if not 0 <= area <= whole:
                raise InputError(f"an area of {area:g} {self.grid.area_unit} is impossible; the image has {whole:g}")
        if not all(0 <= share <= 1 for share in self.shares.values()) or sum(self.shares.values()) > 1 + 1e-6:
            raise InputError("shares of the lesion go from 0 to 1 and together to no more than 1")
        if self.side not in (None, "left", "right"):
            raise InputError(f"there is no side {self.side!r}; give left or right")
        if self.side is not None and self.grid.lateral_axis is None:
            raise InputError("these slices show one side only; ask for areas instead")

    def objective(self, encoding: Encoding, factor: int = 1) -> Loss:
        """As `Target` has it: squared errors of logarithms of areas, of shares, and of what lies on the other side."""

        def loss(x: torch.Tensor) -> torch.Tensor:
            return self._far((_SHARPER * label_logits(x, encoding)).softmax(dim=1)[:, 1:], factor)

        return loss

    def similarity(self, shares: torch.Tensor, factor: int) -> torch.Tensor:
        """As `Target` has it."""
        parts = [self._far(part.where(part >= _NONE, 0).float() / 255, factor) for part in shares.split(1024)]
        return -torch.cat(parts)

    def score(self, labels: np.ndarray) -> np.ndarray:
        """One less the mean error of what is asked: relative for areas, as it is for shares and the side; 0 at least.

        An image without a lesion has no side, so that all of its error is counted.
        """
        each = np.stack([(labels == value) for value in self.channels.values], axis=1).astype(np.float64)
        return 1 - np.stack(self._errors(each), axis=1).clip(0, 1).mean(axis=1)

    def measure(self, labels: np.ndarray) -> dict[str, float]:
        """What one label map (Y, X) has: areas by label name, of the lesion, shares, and which share is on the left."""
        found = areas_of(labels, self.channels, self.grid)
        lesion = sum(found.values())
        shares = {f"{name}, share": area / lesion for name, area in found.items() if lesion}
        on_left = (
            float((labels > 0)[self._on("left")].sum() * self.grid.pixel_area)
            if self.grid.lateral_axis is not None
            else 0.0
        )
        return {**found, "lesion": lesion, **shares, **({"left": on_left / lesion} if lesion else {})}

    def _errors(self, each: np.ndarray) -> list[np.ndarray]:
        areas, (lesion, here) = each.sum((2, 3)), self._sided(torch.from_numpy(each))
        whole, errors = lesion.numpy(), []
        for wanted, mine in self._wanted(torch.from_numpy(areas), lesion):
            errors.append(np.abs(mine.numpy() - wanted) / max(wanted, _LEAST))
        for value, share in self.shares.items():
            mine = areas[:, self._index(value)]
            errors.append(np.where(whole > 0, np.abs(mine / np.maximum(whole, 1) - share), 1.0))
        if self.side is not None:
            errors.append(np.where(whole > 0, 1 - here.numpy() / np.maximum(whole, 1), 1.0))
        return errors

    def _far(self, each: torch.Tensor, factor: int) -> torch.Tensor:
        """Of label probabilities (N, K, y, x)."""
        scale = factor**2  # pixels at full size in one
        areas, (lesion, here) = each.sum((2, 3)) * scale, (part * scale for part in self._sided(each, factor))
        far = torch.zeros(len(each), device=each.device)
        for wanted, mine in self._wanted(areas, lesion):
            far = far + (torch.log(mine + _LEAST) - np.log(wanted + _LEAST)) ** 2
        for value, share in self.shares.items():
            far = far + 4 * (areas[:, self._index(value)] / (lesion + _LEAST) - share) ** 2
        if self.side is not None:
            far = far + (1 - here / (lesion + _LEAST)) ** 2
        return far

    def _wanted(self, areas: torch.Tensor, lesion: torch.Tensor) -> list[tuple[float, torch.Tensor]]:
        """Pairs of pixels that are asked for and those that there are."""
        pairs = [(area / self.grid.pixel_area, areas[:, self._index(value)]) for value, area in self.areas.items()]
        return [*pairs, *([] if self.lesion is None else [(self.lesion / self.grid.pixel_area, lesion)])]

    def _sided(self, each: torch.Tensor, factor: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels of the lesion, and those of them on the side that is asked for."""
        lesion = each.sum(1)
        if self.side is None:
            return lesion.sum((1, 2)), lesion.sum((1, 2))
        return lesion.sum((1, 2)), lesion[(slice(None), *self._on(self.side, factor))].sum((1, 2))

    def _on(self, side: Side, factor: int = 1) -> tuple[slice, ...]:
        """Where a side is, on images that are smaller by a factor."""
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
    """The area of each label of a map (Y, X) by its name, in mm², or in pixels where the grid has no spacing."""
    return {label.name: float((labels == label.value).sum()) * grid.pixel_area for label in channels.labels}
