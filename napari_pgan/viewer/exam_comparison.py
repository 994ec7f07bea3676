"""Two volumes in one picture: a chequerboard, or a swipe of one over the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, placement

if TYPE_CHECKING:
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam

PREVIEW = "preview"
_WHITE_PERCENTILE = 99.5
_STRIPPED_BRIGHTNESS = 0.4  # of voxels that skull stripping removes


class ExamComparison:
    """Pictures of a registered exam before and after registration.

    Parameters
    ----------
    together
        The exam. Voxels that skull stripping removes are dimmed.
    """

    def __init__(self, together: PreprocessedExam) -> None:
        from napari_pgan.imaging.io.modality_names import ATLAS

        self.together = together
        others = [part for part in together.images if part != together.reference]
        self.pairs = [(f"{together.reference} | {part}", part) for part in others]
        if together.atlas is not None:
            self.pairs.insert(0, (f"atlas | {together.reference}", ATLAS))
            self._atlas = to_uint8(together.atlas.array, float(together.atlas.array.min()))
        elif not others:
            self.pairs = [(together.reference, together.reference)]
        self._after, self._before = {}, {}
        for part in together.images:
            foreground, after, before = together.foregrounds[part], together.volumes[part], together.before[part]
            shades = to_uint8(after.array, foreground.background)
            self._before[part] = shades if before is after else to_uint8(before.array, foreground.background)
            if foreground.stripped:
                shades = np.where(foreground.mask, shades, shades * _STRIPPED_BRIGHTNESS).astype(np.uint8)
            self._after[part] = shades

    def picture(self, part: str, after: bool, swipe: bool, value: float, axis: int) -> LayerTuple:
        """A layer that shows the reference with a modality, or the atlas with the reference.

        Parameters
        ----------
        part
            The second item of one of `pairs`.
        after
            Show the registered images; else the images where their headers place them.
        swipe
            Show a swipe; else a chequerboard.
        value
            Share of the first image in percent (swipe), or length of a field in millimetres (chequerboard).
        axis
            Array axis of the swipe.
        """
        from napari_pgan.schema import Grid

        together = self.together
        volume, shades = together.volumes[together.reference], self._after if after else self._before
        if part in together.images:
            first, second = self._after[together.reference], shades[part]
        else:
            first, second = self._atlas, shades[together.reference]
        if swipe:
            picture = swiped(first, second, value / 100, axis)
        else:
            picture = chequerboard(first, second, volume.spacing, value)
        grid = Grid(volume.array.shape, volume.spacing, volume.orientation)
        options = {
            "name": PREVIEW, **placement(grid), "contrast_limits": (0, 255), "colormap": "gray",
            "interpolation2d": "linear",
            "metadata": {METADATA_KEY: {"slot": PREVIEW, PREVIEW: True, "grid": grid.to_dict()}},
        }  # fmt: skip
        return np.ascontiguousarray(picture), options, "image"


def to_uint8(array: np.ndarray, background: float) -> np.ndarray:
    """Scale a volume to 0…255: black at the background, white from the 99.5th percentile of the foreground."""
    foreground = array[array > background]
    white = background
    if foreground.size:
        white = float(np.percentile(foreground[:: max(1, foreground.size // 200_000)], _WHITE_PERCENTILE))
    shades = (array.astype(np.float32) - np.float32(background)) * np.float32(255 / max(white - background, 1e-6))
    return np.clip(shades, 0, 255, out=shades).astype(np.uint8)


def chequerboard(a: np.ndarray, b: np.ndarray, spacing: Sequence[float], field: float) -> np.ndarray:
    """`a` and `b` in alternating cubes; edges continue across the cubes where both are aligned.

    Parameters
    ----------
    a, b
        Volumes of one shape (z, y, x).
    spacing
        Voxel spacing in millimetres.
    field
        Edge length of a cube in millimetres.
    """
    board: np.ndarray = np.zeros((1, 1, 1), int)
    for axis, (n, step) in enumerate(zip(a.shape, spacing, strict=True)):
        fields = np.floor(((np.arange(n) - (n - 1) / 2) * step + field / 2) / field).astype(int)
        board = board + fields.reshape([-1 if i == axis else 1 for i in range(a.ndim)])
    return np.where(board % 2 == 0, a, b)


def swiped(a: np.ndarray, b: np.ndarray, share: float, axis: int) -> np.ndarray:
    """`a` in the first `share` of an axis, and `b` in the rest."""
    position = round(share * a.shape[axis])
    first, second = (np.split(volume, [position], axis)[i] for i, volume in enumerate((a, b)))
    return np.concatenate([first, second], axis)
