"""Where the pixels of an image lie in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError

_AXIS_OF = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}
_RAS_SIGN = {"R": 1.0, "L": -1.0, "A": 1.0, "P": -1.0, "S": 1.0, "I": -1.0}


@dataclass(frozen=True)
class Grid:
    """An axis-aligned grid of two or three dimensions, in array order (…, y, x).

    Parameters
    ----------
    shape
        Pixels an axis, in array order.
    spacing
        Millimetres from pixel to pixel, in array order, or None where there is no such thing (photographs).
    orientation
        One letter an axis, in array order: the side of the patient towards which its index grows (L, R, P, A, S, I);
        axial slices with the anterior on top and the patient's left on the right are ``"PL"``, volumes of them
        ``"SPL"``. None for photographs.
    slice_spacing
        For two dimensions: millimetres between the slices that the image was taken from, if known.
    sided
        Whether the side of the patient matters, so that a mirror image is none of the cohort: True or False as its
        maker says, None where nobody has said.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None = None
    orientation: str | None = None
    slice_spacing: float | None = None
    sided: bool | None = None

    def __post_init__(self) -> None:
        dimensions = len(self.shape)
        if dimensions not in (2, 3) or min(self.shape) < 1:
            raise InputError(f"a grid of shape {self.shape} is neither a slice nor a volume")
        if self.spacing is not None and (
            len(self.spacing) != dimensions or not all(np.isfinite(s) and s > 0 for s in self.spacing)
        ):
            raise InputError(
                f"the spacing {self.spacing} does not fit the shape {self.shape}: one positive number an axis"
            )
        if self.orientation is not None:
            axes = [_AXIS_OF.get(letter) for letter in self.orientation]
            if len(axes) != dimensions or None in axes or len(set(axes)) != dimensions:
                raise InputError(f"{self.orientation!r} is no orientation of {dimensions} axes; axial slices are 'PL'")
        if not (self.sided is None or isinstance(self.sided, bool)):
            raise InputError(f"whether the side of the patient matters is true or false, not {self.sided!r}")

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes, in array order."""
        return ("z", "y", "x")[-len(self.shape) :]

    @property
    def pixel_area(self) -> float:
        """Of one pixel of a slice, in `area_unit`."""
        return 1.0 if self.spacing is None else float(np.prod(self.spacing[-2:]))

    @property
    def area_unit(self) -> str:
        """mm², or pixels where there are no millimetres."""
        return "pixels" if self.spacing is None else "mm²"

    def at_size(self, shape: tuple[int, ...]) -> Grid:
        """The same field of view with another number of pixels."""
        spacing = None
        if self.spacing is not None:
            spacing = tuple(s * a / b for s, a, b in zip(self.spacing, self.shape, shape, strict=True))
        return Grid(tuple(shape), spacing, self.orientation, self.slice_spacing, self.sided)

    @property
    def lateral_axis(self) -> int | None:
        """The axis from one side of the patient to the other, counted from the last (-1: columns).

        In a picture without orientation it is the columns; None where the image has no such axis (sagittal slices).
        """
        if self.orientation is None:
            return -1
        return next((i - len(self.shape) for i, letter in enumerate(self.orientation) if letter in "LR"), None)

    def affine(self) -> np.ndarray:
        """The 4×4 matrix from (x, y, z) indices to millimetres in RAS, as NIfTI has it, centred on the grid.

        A slice counts as a volume of one slice. Grids without spacing get 1 mm, without orientation ``"SPL"``.
        """
        shape, spacing, letters = list(self.shape), list(self.spacing or [1.0] * len(self.shape)), self.orientation
        letters = letters or "SPL"[-len(shape) :]
        if len(shape) == 2:
            shape, spacing = [1, *shape], [self.slice_spacing or 1.0, *spacing]
            missing = ({0, 1, 2} - {_AXIS_OF[letter] for letter in letters}).pop()
            letters = "LPS"[missing] + letters
        affine = np.eye(4)
        affine[:3, :3] = 0
        for column, (letter, step) in enumerate(zip(letters[::-1], spacing[::-1], strict=True)):
            affine[_AXIS_OF[letter], column] = _RAS_SIGN[letter] * step
        affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
        return affine

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "shape": list(self.shape),
            "spacing": None if self.spacing is None else list(self.spacing),
            "orientation": self.orientation,
            "slice_spacing": self.slice_spacing,
            "axes": list(self.axes),
            **({} if self.sided is None else {"sided": self.sided}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """From what `to_dict` gave."""
        return cls(
            tuple(int(n) for n in data["shape"]),
            None if data.get("spacing") is None else tuple(float(s) for s in data["spacing"]),
            data.get("orientation"),
            data.get("slice_spacing"),
            data.get("sided"),
        )
