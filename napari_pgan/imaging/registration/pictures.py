"""Pictures of a subject for whoever judges it: registrations before and after, and the outline of the brain."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy import ndimage

from napari_pgan.atomic import replacing
from napari_pgan.imaging.io.itk import limit_threads, to_itk
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.resampling import resample_to_grid

if TYPE_CHECKING:
    import SimpleITK as sitk
    from PIL import ImageFont

PIXEL = 1.0  # mm
FIELD = 34  # pixels a field of the board
MARGIN, ROUND_BRAIN = 8.0, 20.0  # mm round a head, and round a brain, so that its skull is seen
GAP = 6  # pixels between planes
LINE = (255, 214, 0)
_WHITE = 97.0  # percentile of the head that becomes white: fat may be whiter, or brains were dark beside it
_LETTERS = 15  # pixels
_SIDES = (("A", "P"), ("R", "L"), ("R", "L"))  # what lies at the left and right of a plane across x, y, z
_AXIAL, _CORONAL, _SAGITTAL = (0.2, 0.4, 0.6, 0.8), (0.35, 0.6), (0.35, 0.5)  # of the way through the brain


@dataclass(frozen=True)
class Box:
    """What part of the patient is shown.

    Parameters
    ----------
    low, high
        Corners, millimetres in RAS.
    margin
        That they lie outside of what is shown.
    """

    low: np.ndarray
    high: np.ndarray
    margin: float

    @classmethod
    def around(cls, points: np.ndarray, margin: float = MARGIN) -> Box:
        """The box of points (n, 3) with a margin."""
        return cls(points.min(axis=0) - margin, points.max(axis=0) + margin, margin)

    def at(self, axis: int, share: float) -> float:
        """A place along an axis, of the way between the points' ends."""
        low, high = self.low[axis] + self.margin, self.high[axis] - self.margin
        return float(low + share * (high - low))


@dataclass(frozen=True, eq=False)
class WindowedVolume:
    """A volume, and which of its values are black and white."""

    volume: Volume
    black: float
    white: float

    @functools.cached_property
    def image(self) -> sitk.Image:
        """For ITK, once."""
        return to_itk(self.volume.array.astype(np.float32), self.volume.affine)

    @classmethod
    def of(cls, volume: Volume, head: Foreground) -> WindowedVolume:
        """With the brightest three percent of the head white."""
        inside = volume.array[head.mask]
        inside = inside[:: max(1, inside.size // 200_000)]
        white = float(np.percentile(inside, _WHITE)) if inside.size else head.background
        return cls(volume, head.background, max(white, head.background + 1e-6))

    def plane(self, box: Box, across: int, at: float, matrix: np.ndarray) -> np.ndarray:
        """A plane across one axis of the patient (0: to the right, 1: forward, 2: up), uint8.

        Up and forward are on top, the patient's left on the right, as radiologists look; of a plane across the first
        axis the nose is on the left.
        """
        array = _cut(self.image, box, across, at, matrix, self.black)
        grey = (array - self.black) * (255 / (self.white - self.black))
        return np.clip(grey, 0, 255).astype(np.uint8)


def overlay(fixed: WindowedVolume, moving: WindowedVolume, box: Box, matrix: np.ndarray) -> np.ndarray:
    """Two rows, before and after, of three planes through the middle of the box.

    Fields of the board show the fixed and the moving volume in turn, so that edges run on where both agree.

    Parameters
    ----------
    fixed, moving
        The two.
    box
        What is shown.
    matrix
        4×4, from the fixed one's points to the moving one's, millimetres in RAS.

    Returns
    -------
    picture
        uint8 (height, width, 3); axial, coronal and sagittal, with the sides written at the edges.
    """
    rows = []
    for pose, name in ((np.eye(4), "before"), (matrix, "after")):
        planes = []
        for across in (2, 1, 0):
            at = box.at(across, 0.5)
            own, other = fixed.plane(box, across, at, np.eye(4)), moving.plane(box, across, at, pose)
            y, x = np.ogrid[: own.shape[0], : own.shape[1]]
            board = np.where((y // FIELD + x // FIELD) % 2 == 0, own, other)
            planes.append(_lettered(np.repeat(board[..., None], 3, 2), across, name if across == 2 else ""))
        rows.append(planes)
    return _laid_out(rows)


def outline(shown: WindowedVolume, mask: np.ndarray) -> np.ndarray:
    """A mask as a line round what it marks: four axial planes from below, two coronal and two sagittal ones.

    Parameters
    ----------
    shown
        The volume.
    mask
        bool, like it, not empty.

    Returns
    -------
    picture
        uint8 (height, width, 3).
    """
    affine = shown.volume.affine
    corners = np.argwhere(mask)[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    marked, box = to_itk(mask.astype(np.float32), affine), Box.around(corners, ROUND_BRAIN)
    rows = []
    for places in (((2, _AXIAL),), ((1, _CORONAL), (0, _SAGITTAL))):
        planes = []
        for across, shares in places:
            for share in shares:
                at = box.at(across, share)
                plane = np.repeat(shown.plane(box, across, at, np.eye(4))[..., None], 3, 2)
                inside = _cut(marked, box, across, at, np.eye(4), 0.0) > 0.5
                plane[inside & ~ndimage.binary_erosion(inside)] = LINE
                planes.append(_lettered(plane, across))
        rows.append(planes)
    return _laid_out(rows)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture as PNG."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _cut(image: sitk.Image, box: Box, across: int, at: float, matrix: np.ndarray, fill: float) -> np.ndarray:
    """A plane of an image, linearly interpolated."""
    import SimpleITK as sitk

    size = np.ceil((box.high - box.low) / PIXEL).astype(int)
    size[across] = 1
    grid = np.diag([PIXEL, PIXEL, PIXEL, 1.0])  # along RAS
    grid[:3, 3] = np.where(np.arange(3) == across, at, box.low)
    with limit_threads(1):
        array = resample_to_grid(image, matrix, tuple(size[::-1]), grid, fill, sitk.sitkLinear)
    plane: np.ndarray = np.squeeze(array, axis=2 - across)[::-1, ::-1]
    return plane


def _lettered(plane: np.ndarray, across: int, name: str = "") -> np.ndarray:
    """With the sides of the patient at its left and right edge, and a name in its corner."""
    from PIL import Image, ImageDraw

    page = Image.fromarray(plane)
    draw, font = ImageDraw.Draw(page), _font()
    height, width = plane.shape[:2]
    left, right = _SIDES[across]
    for x, letter, anchor in ((3, left, "lm"), (width - 3, right, "rm")):
        draw.text((x, height // 2), letter, (255, 255, 255), font, anchor, stroke_width=2, stroke_fill=(0, 0, 0))
    if name:
        draw.text((3, 3), name, (255, 255, 255), font, "lt", stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(page)


def _font() -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(_LETTERS))


def _laid_out(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Planes beside each other, rows below each other, on black."""
    strips = []
    for planes in rows:
        height = max(len(plane) for plane in planes)
        padded = [np.pad(plane, ((0, height - len(plane)), (0, GAP), (0, 0))) for plane in planes]
        strips.append(np.hstack(padded)[:, :-GAP])
    width = max(strip.shape[1] for strip in strips)
    picture = np.vstack([np.pad(strip, ((0, GAP), (0, width - strip.shape[1]), (0, 0))) for strip in strips])
    return picture[:-GAP]
