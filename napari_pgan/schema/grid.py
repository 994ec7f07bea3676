"""Pixel grids in patient space, and the sizes that a network can grow to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
        Pixels per axis, in array order.
    spacing
        Pixel spacing in mm, in array order; None if unknown (photographs).
    orientation
        One letter per axis, in array order: the patient side towards which the index grows (L, R, P, A, S, I). Axial
        slices with anterior on top and the patient's left on the right are ``"PL"``, volumes of them ``"SPL"``. None
        for photographs.
    slice_spacing
        For two dimensions: distance between neighbouring slices of the source volume in mm, if known.
    sided
        Whether left and right differ, so that a mirror image does not belong to the cohort; None if unspecified.
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
                f"the spacing {self.spacing} does not fit the shape {self.shape}; give one positive number per axis"
            )
        if self.orientation is not None:
            axes = [_AXIS_OF.get(letter) for letter in self.orientation]
            if len(axes) != dimensions or None in axes or len(set(axes)) != dimensions:
                raise InputError(
                    f"{self.orientation!r} is not an orientation of {dimensions} axes; axial slices are 'PL'"
                )
        if not (self.sided is None or isinstance(self.sided, bool)):
            raise InputError(f"`sided` must be true or false, not {self.sided!r}")

    @property
    def axes(self) -> tuple[str, ...]:
        """Axis names in array order."""
        return ("z", "y", "x")[-len(self.shape) :]

    @property
    def pixel_area(self) -> float:
        """Area of one pixel of a slice in `area_unit`."""
        return 1.0 if self.spacing is None else float(np.prod(self.spacing[-2:]))

    @property
    def area_unit(self) -> str:
        """``mm²``, or ``pixels`` if the grid has no spacing."""
        return "pixels" if self.spacing is None else "mm²"

    def at_size(self, shape: tuple[int, ...]) -> Grid:
        """Return a grid with the same field of view and another number of pixels."""
        spacing = self.spacing and tuple(s * a / b for s, a, b in zip(self.spacing, self.shape, shape, strict=True))
        return replace(self, shape=tuple(shape), spacing=spacing)

    @property
    def lateral_axis(self) -> int | None:
        """Negative index of the left-right axis: -1 (columns) without orientation, None for sagittal slices."""
        if self.orientation is None:
            return -1
        return next((i - len(self.shape) for i, letter in enumerate(self.orientation) if letter in "LR"), None)

    def affine(self) -> np.ndarray:
        """Return the 4×4 NIfTI affine from (x, y, z) indices to RAS mm, with the grid centre at the origin.

        A slice is treated as a volume of one slice. Defaults: spacing 1 mm, orientation ``"SPL"``.
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
        """Convert to a JSON-serialisable dict."""
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
        """Create from the output of `to_dict`."""
        return cls(
            tuple(int(n) for n in data["shape"]),
            None if data.get("spacing") is None else tuple(float(s) for s in data["spacing"]),
            data.get("orientation"),
            data.get("slice_spacing"),
            data.get("sided"),
        )


def base_of(size: int) -> tuple[int, int]:
    """Split an image size into the base size of the first feature map (4 to 7) and the number of doublings.

    Raises
    ------
    InputError
        The size is not 4, 5, 6 or 7 times a power of two.
    """
    base, doublings = size, 0
    while base % 2 == 0 and base >= 8:
        base, doublings = base // 2, doublings + 1
    if not 4 <= base <= 7:
        raise InputError(f"size {size} cannot be grown by doubling; give 4, 5, 6 or 7 times a power of two")
    return base, doublings
