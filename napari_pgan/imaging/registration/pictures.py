"""Pictures for visual quality control: checkerboards before and after registration, and brain outlines."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pgan.atomic import replacing
from napari_pgan.imaging.io.itk import sitk, to_itk
from napari_pgan.imaging.io.volume import Volume
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.resampling import resample_to_grid

PIXEL = 1.0  # mm
TILE = 34  # pixels per tile of the checkerboard
MARGIN, BRAIN_MARGIN = 8.0, 20.0  # mm around a head, and around a brain so that the skull is visible
GAP = 6  # pixels between planes
LINE = (255, 214, 0)
_WHITE = 97.0  # percentile of the head shown as white; brighter fat saturates, so that brains are not dark
_FONT_SIZE = 15  # pixels
_SIDES = (("A", "P"), ("R", "L"), ("R", "L"))  # left and right edge of planes across x, y, z
_AXIAL, _CORONAL, _SAGITTAL = (0.2, 0.4, 0.6, 0.8), (0.35, 0.6), (0.35, 0.5)  # fractions of the brain's extent


@dataclass(frozen=True)
class Box:
    """The displayed part of the patient."""

    low: np.ndarray  # corners, RAS mm
    high: np.ndarray
    margin: float  # between the corners and the content, mm

    @classmethod
    def around(cls, points: np.ndarray, margin: float = MARGIN) -> Box:
        """Return the bounding box of points (n, 3) with a margin."""
        return cls(points.min(axis=0) - margin, points.max(axis=0) + margin, margin)

    def at(self, axis: int, fraction: float) -> float:
        """Return a position along an axis as a fraction of the content's extent, RAS mm."""
        low, high = self.low[axis] + self.margin, self.high[axis] - self.margin
        return float(low + fraction * (high - low))


@dataclass(frozen=True, eq=False)
class WindowedVolume:
    """A volume with the values shown as black and white."""

    volume: Volume
    black: float
    white: float

    @functools.cached_property
    def image(self) -> sitk.Image:
        """The volume as an ITK image, converted once."""
        return to_itk(self.volume.array.astype(np.float32), self.volume.affine)

    @classmethod
    def of(cls, volume: Volume, head: Foreground) -> WindowedVolume:
        """Create with a window from the background to the 97th percentile of the head."""
        inside = volume.array[head.mask]
        inside = inside[:: max(1, inside.size // 200_000)]
        white = float(np.percentile(inside, _WHITE)) if inside.size else head.background
        return cls(volume, head.background, max(white, head.background + 1e-6))

    def plane(self, box: Box, across: int, at: float, matrix: np.ndarray) -> np.ndarray:
        """Return the plane perpendicular to a patient axis (0: sagittal, 1: coronal, 2: axial) at `at` mm, uint8.

        The radiological convention applies: superior or anterior on top, the patient's left on the right; sagittal
        planes face left.
        """
        array = _slice(self.image, box, across, at, matrix, self.black)
        grey = (array - self.black) * (255 / (self.white - self.black))
        return np.clip(grey, 0, 255).astype(np.uint8)


def overlay(fixed: WindowedVolume, moving: WindowedVolume, box: Box, matrix: np.ndarray) -> np.ndarray:
    """Draw checkerboards of two volumes in three planes, before (top row) and after registration.

    Where the volumes agree, edges continue from tile to tile. `matrix` maps points of the fixed volume to points of the
    moving one, RAS mm. Returns uint8 (height, width, 3).
    """
    rows = []
    for pose, name in ((np.eye(4), "before"), (matrix, "after")):
        planes = []
        for across in (2, 1, 0):
            at = box.at(across, 0.5)
            own, other = fixed.plane(box, across, at, np.eye(4)), moving.plane(box, across, at, pose)
            y, x = np.ogrid[: own.shape[0], : own.shape[1]]
            board = np.where((y // TILE + x // TILE) % 2 == 0, own, other)
            planes.append(_labelled(np.repeat(board[..., None], 3, 2), across, name if across == 2 else ""))
        rows.append(planes)
    return _montage(rows)


def outline(shown: WindowedVolume, mask: np.ndarray) -> np.ndarray:
    """Draw the outline of a mask (bool, not empty) in four axial, two coronal and two sagittal planes of a volume.

    Returns uint8 (height, width, 3).
    """
    affine = shown.volume.affine
    corners = np.argwhere(mask)[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    marked, box = to_itk(mask.astype(np.float32), affine), Box.around(corners, BRAIN_MARGIN)
    rows = []
    for views in (((2, _AXIAL),), ((1, _CORONAL), (0, _SAGITTAL))):
        planes = []
        for across, fractions in views:
            for fraction in fractions:
                at = box.at(across, fraction)
                plane = np.repeat(shown.plane(box, across, at, np.eye(4))[..., None], 3, 2)
                inside = _slice(marked, box, across, at, np.eye(4), 0.0) > 0.5
                plane[inside & ~ndimage.binary_erosion(inside)] = LINE
                planes.append(_labelled(plane, across))
        rows.append(planes)
    return _montage(rows)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write an RGB array as PNG."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def _slice(image: sitk.Image, box: Box, across: int, at: float, matrix: np.ndarray, fill: float) -> np.ndarray:
    """Plane of an image, linearly interpolated."""
    size = np.ceil((box.high - box.low) / PIXEL).astype(int)
    size[across] = 1
    grid = np.diag([PIXEL, PIXEL, PIXEL, 1.0])  # along RAS
    grid[:3, 3] = np.where(np.arange(3) == across, at, box.low)
    array = resample_to_grid(image, matrix, tuple(size[::-1]), grid, fill, sitk.sitkLinear)
    plane: np.ndarray = np.squeeze(array, axis=2 - across)[::-1, ::-1]
    return plane


def _labelled(plane: np.ndarray, across: int, name: str = "") -> np.ndarray:
    """Write the patient sides at the left and right edge and a name in the corner."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(plane)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT_SIZE)
    height, width = plane.shape[:2]
    left, right = _SIDES[across]
    texts = ((3, height // 2, left, "lm"), (width - 3, height // 2, right, "rm"), (3, 3, name, "lt"))
    for x, y, text, anchor in texts:
        draw.text((x, y), text, (255, 255, 255), font, anchor, stroke_width=2, stroke_fill=(0, 0, 0))
    return np.asarray(picture)


def _montage(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Arrange planes in rows on a black background."""
    strips = []
    for planes in rows:
        height = max(len(plane) for plane in planes)
        padded = [np.pad(plane, ((0, height - len(plane)), (0, GAP), (0, 0))) for plane in planes]
        strips.append(np.hstack(padded)[:, :-GAP])
    width = max(strip.shape[1] for strip in strips)
    picture = np.vstack([np.pad(strip, ((0, GAP), (0, width - strip.shape[1]), (0, 0))) for strip in strips])
    return picture[:-GAP]
