"""Two volumes in one picture: a chequerboard, or one wiped over the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, placement

if TYPE_CHECKING:
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam

PREVIEW = "preview"
_BRIGHTEST = 99.5
_DIM = 0.4  # of the shade of what is taken off with the skull


class Compared:
    """An exam brought together, and its shades for the picture.

    Parameters
    ----------
    together
        The exam. Where its skull is taken off, what goes with it is dimmed.
    """

    def __init__(self, together: PreprocessedExam) -> None:
        from napari_pgan.imaging.io.parts import ATLAS

        self.together = together
        others = [part for part in together.images if part != together.reference]
        self.pairs = [(f"{together.reference} | {part}", part) for part in others]
        if together.atlas is not None:
            self.pairs.insert(0, (f"atlas | {together.reference}", ATLAS))
        elif not others:
            self.pairs = [(together.reference, together.reference)]
        self._after, self._before = {}, {}
        for part in together.images:
            found, after, before = together.foregrounds[part], together.volumes[part], together.before[part]
            plain = grey(after.array, found.background)
            self._before[part] = plain if before is after else grey(before.array, found.background)
            self._after[part] = np.where(found.mask, plain, plain * _DIM).astype(np.uint8) if found.stripped else plain
        if together.atlas is not None:
            self._atlas = grey(together.atlas.array, float(together.atlas.array.min()))

    def picture(self, part: str, after: bool, swipe: bool, value: float, axis: int) -> LayerTuple:
        """The layer in which two images stand together: the reference and a modality, or the atlas and the reference.

        Parameters
        ----------
        part
            The second of one of `pairs`.
        after
            What was registered, or as the headers say.
        swipe
            Wiped one over the other; else a chequerboard.
        value
            How far the first reaches in percent, or how long a field is in millimetres.
        axis
            Along which it is wiped.
        """
        from napari_pgan.schema import Grid

        together = self.together
        volume, shades = together.volumes[together.reference], self._after if after else self._before
        if part in together.images:
            own, other = self._after[together.reference], shades[part]
        else:
            own, other = self._atlas, shades[together.reference]
        made = wiped(own, other, value / 100, axis) if swipe else chequered(own, other, volume.spacing, value)
        grid = Grid(volume.array.shape, volume.spacing, volume.orientation)
        about: Mapping[str, Any] = {"slot": PREVIEW, PREVIEW: True, "grid": grid.to_dict()}
        options = {
            "name": PREVIEW, **placement(grid), "contrast_limits": (0, 255), "colormap": "gray",
            "interpolation2d": "linear", "metadata": {METADATA_KEY: about},
        }  # fmt: skip
        return np.ascontiguousarray(made), options, "image"


def grey(array: np.ndarray, background: float) -> np.ndarray:
    """A volume in 256 shades, black at its background and white where its brightest half percent begins."""
    inside = array[array > background]
    high = float(np.percentile(inside[:: max(1, inside.size // 200_000)], _BRIGHTEST)) if inside.size else background
    shades = (array.astype(np.float32) - np.float32(background)) * np.float32(255 / max(high - background, 1e-6))
    return np.clip(shades, 0, 255, out=shades).astype(np.uint8)


def chequered(a: np.ndarray, b: np.ndarray, spacing: Sequence[float], field: float) -> np.ndarray:
    """`a` and `b` in turn, in cubes of `field` millimetres, so that edges run on where both agree.

    Parameters
    ----------
    a, b
        Of one shape (z, y, x).
    spacing
        Millimetres between voxels.
    """
    board: np.ndarray = np.zeros((1, 1, 1), int)
    for axis, (n, step) in enumerate(zip(a.shape, spacing, strict=True)):
        fields = np.floor(((np.arange(n) - (n - 1) / 2) * step + field / 2) / field).astype(int)
        board = board + fields.reshape([-1 if i == axis else 1 for i in range(a.ndim)])
    return np.where(board % 2 == 0, a, b)


def wiped(a: np.ndarray, b: np.ndarray, share: float, axis: int) -> np.ndarray:
    """`a` up to a share of the way along an axis, and `b` beyond."""
    made = b.copy()
    part = [slice(None)] * a.ndim
    part[axis] = slice(0, round(share * a.shape[axis]))
    made[tuple(part)] = a[tuple(part)]
    return made
