"""Scale the intensities of a volume to [-1, 1], robust against outliers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from napari_pgan.errors import InputError

HIGH_PERCENTILE = 99.9
RULE = (
    f"linear for each volume: background at -1, the {HIGH_PERCENTILE}th percentile of the head at +1, clipped; "
    "background is the value around a stripped brain, else the median of the air; a head with many values below the "
    "background (standardised data) has its 0.1th percentile at -1 instead"
)
MEANING = {
    "-1": "background: the value around the stripped brain, or the median of the air",
    "+1": f"the {HIGH_PERCENTILE}th percentile of the volume's head or brain voxels; brighter ones are clipped",
}


@dataclass(frozen=True)
class Scaling:
    """Intensity range of one volume that was mapped to [-1, 1].

    Parameters
    ----------
    low
        Value mapped to -1.
    high
        Value mapped to +1.
    stripped
        Whether the background was constant; it is exactly -1 then.
    clipped
        Share of the head's voxels outside [low, high].
    """

    low: float
    high: float
    stripped: bool
    clipped: float

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Foreground:
    """The head or brain of a volume.

    Parameters
    ----------
    mask
        bool, of the volume's shape.
    background
        Value of the constant background, or median of the air.
    stripped
        Whether the background is constant.
    """

    mask: np.ndarray
    background: float
    stripped: bool


def find_foreground(array: np.ndarray) -> Foreground:
    """Separate the head from the background.

    If at least six of the eight corners and 5 % of all voxels have one value, and few other values are near it, the
    volume is stripped and all other voxels are foreground. Otherwise foreground is above the threshold of `otsu`.

    Raises
    ------
    InputError
        The volume is constant.
    """
    corners = array[np.ix_(*[(0, -1)] * 3)].ravel()
    values, counts = np.unique(corners, return_counts=True)
    fill = values[counts.argmax()]
    if counts.max() >= 6:
        mask = array != fill
        inside = int(mask.sum())
        if inside == 0:
            raise InputError(f"is constant ({fill:g} everywhere); it contains no image")
        if array.size - inside >= array.size / 20 and not _holds_air(array[mask], float(fill)):
            return Foreground(mask, float(fill), True)
    threshold = otsu(array)
    mask = array > threshold
    air = array[~mask]
    if not mask.any() or not air.size:
        raise InputError("is constant; it contains no image")
    return Foreground(mask, float(np.median(air)), False)


def _holds_air(inside: np.ndarray, fill: float) -> bool:
    """Return whether there is air inside a constant border, as after rotation or defacing."""
    if np.mean(inside < fill) > 0.01:  # standardised data lie on both sides of the border value
        return False
    distance = np.abs(inside[:: max(1, inside.size // 200_000)].astype(np.float32) - np.float32(fill))
    return bool(np.mean(distance < 0.05 * np.percentile(distance, 99)) > 0.3)


def scale(array: np.ndarray, foreground: Foreground | None = None) -> tuple[np.ndarray, Scaling]:
    """Scale a volume linearly to [-1, 1].

    +1 is the 99.9th percentile of the head. The maximum may be a single defective voxel that would darken the brain;
    the common 99th or 99.5th percentile would clip an enhancing rim, which is often less than 1 % of a brain (0.1 % is
    about 1.5 ml).

    Parameters
    ----------
    array
        (z, y, x), any real type.
    foreground
        Result of `find_foreground`; computed if None.

    Returns
    -------
    scaled
        float32 in [-1, 1].
    scaling
        The intensity range.

    Raises
    ------
    InputError
        The head has one value only.
    """
    foreground = foreground or find_foreground(array)
    inside = array[foreground.mask].astype(np.float32, copy=False)
    low, high = foreground.background, float(np.percentile(inside, HIGH_PERCENTILE))
    if np.mean(inside < low) > 0.01:  # standardised data: zero is a tissue value
        low = float(np.percentile(inside, 100 - HIGH_PERCENTILE))
    if not high > low:
        raise InputError("contains a head of one value only; it contains no image")
    clipped = float(np.mean((inside < low) | (inside > high)))
    scaled = array.astype(np.float32)
    scaled -= np.float32(low)
    scaled *= np.float32(2 / (high - low))
    scaled -= np.float32(1)
    np.clip(scaled, -1, 1, out=scaled)
    if foreground.stripped:
        scaled[~foreground.mask] = -1
    return scaled, Scaling(low, high, foreground.stripped, clipped)


def otsu(array: np.ndarray) -> float:
    """Compute the threshold of Otsu 1979 (doi:10.1109/TSMC.1979.4310076) between percentiles 0.5 and 99.5.

    Raises
    ------
    InputError
        Nearly all values are equal.
    """
    low, high = (float(v) for v in np.percentile(array, (0.5, 99.5)))
    if not high > low:
        raise InputError(f"is nearly constant ({low:g}); it contains no image")
    counts, edges = np.histogram(np.clip(array, low, high), bins=256)
    weight = np.cumsum(counts)[:-1]
    moment = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    below, above = moment[:-1] / np.maximum(weight, 1), (moment[-1] - moment[:-1]) / np.maximum(array.size - weight, 1)
    between = weight * (array.size - weight) * (below - above) ** 2
    return float(edges[1:-1][between.argmax()])
