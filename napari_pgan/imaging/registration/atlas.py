"""An average head that a cohort is brought onto, so that a voxel is the same place in everyone."""

from __future__ import annotations

import functools
import glob
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_pgan.errors import InputError
from napari_pgan.imaging.io.errors import VolumeError
from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.normalise.intensity import Foreground, find_foreground
from napari_pgan.imaging.registration.head_template import AIR, BRAIN_MARGIN, Template, shipped_template
from napari_pgan.imaging.registration.pictures import WindowedVolume
from napari_pgan.imaging.registration.register import Pyramid
from napari_pgan.imaging.registration.resampling import resample_image

SHIPPED = "template"
FINE = 1.0  # mm of the grid that subjects get on the shipped template, whose own maps are coarser


@dataclass(frozen=True)
class Atlas:
    """What subjects are brought onto.

    Parameters
    ----------
    identity
        ``"template"``, or a digest of the file: says whether two are the same, and nothing of where it lay.
    grid
        Subjects get its shape and affine.
    heads
        The reference of heads with skull, and of brains without.
    extents
        bool on the grid: how far those two reach.
    """

    identity: str
    grid: Volume
    heads: tuple[Pyramid, Pyramid]
    extents: tuple[np.ndarray, np.ndarray]

    def pyramid(self, stripped: bool) -> Pyramid:
        """The reference for a head, or for a brain whose skull was removed."""
        return self.heads[stripped]

    def picture(self, stripped: bool) -> Volume:
        """What it looks like on its grid, as a head or as a brain without skull."""
        if self.identity != SHIPPED:
            return self.grid
        template = shipped_template()
        shown = np.where(template.brain, template.image.array, AIR) if stripped else template.image.array
        grid = self.grid
        return resample_image(Volume(shown, template.image.affine), np.eye(4), grid.array.shape, grid.affine, AIR)

    def shown(self, stripped: bool) -> WindowedVolume:
        """The same for a picture, with what surrounds it black."""
        volume, extent = self.picture(stripped), self.extents[stripped]
        return WindowedVolume.of(volume, Foreground(extent, float(np.median(volume.array[~extent])), stripped))


def load_atlas(name: str, orientation: str) -> Atlas:
    """Read an atlas: the shipped template, or any volume of a head or a brain.

    The most recent atlases are cached until a file changes.

    Parameters
    ----------
    name
        ``"template"``, or a path for `read_volume`.
    orientation
        Orientation of the grid that subjects get (see `orient`).

    Raises
    ------
    InputError
        The file contains no volume or no head.
    """
    return _load_atlas(name, orientation, () if name == SHIPPED else _file_state(Path(name)))


def _file_state(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and modification time of each file of a volume; headers and data may be separate files."""
    pattern = "**/*" if path.is_dir() else f"{glob.escape(path.name.partition('.')[0])}.*"
    folder = path if path.is_dir() else path.parent
    files = {path, *folder.glob(pattern)}
    return tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in sorted(files) if f.is_file())


@functools.lru_cache(maxsize=4)
def _load_atlas(name: str, orientation: str, file_state: tuple[tuple[str, int, int], ...]) -> Atlas:
    if name == SHIPPED:
        return _shipped(shipped_template(), orientation)
    try:
        return atlas_of(read_volume(name), orientation, name)
    except VolumeError as error:
        raise InputError(f"the atlas {error}") from error


def atlas_of(volume: Volume, orientation: str, name: str = "") -> Atlas:
    """Make an atlas of a volume in memory; `name` appears in messages.

    Raises
    ------
    InputError
        The volume contains no head.
    """
    try:
        volume = orient(volume, orientation)
        head = find_foreground(volume.array)
        away = ndimage.distance_transform_edt(~head.mask, sampling=volume.spacing)
        pyramid = Pyramid(volume, head, region=away <= BRAIN_MARGIN if head.stripped else None)
    except InputError as error:
        raise InputError(f"the atlas {name} {error}".replace("  ", " ")) from error
    digest = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes() + volume.affine.tobytes()).hexdigest()[:16]
    return Atlas(digest, volume, (pyramid, pyramid), (head.mask, head.mask))


def _shipped(template: Template, orientation: str) -> Atlas:
    parts = [orient(Volume(array, template.image.affine), orientation) for array in (template.head, template.brain)]
    times = round(parts[0].spacing[0] / FINE)
    finer = np.diag([1 / times, 1 / times, 1 / times, 1.0])
    finer[:3, 3] = (1 / times - 1) / 2  # the boxes are the same, so the first voxel's centre lies further out
    masks = [np.kron(part.array, np.ones((times, times, times), bool)) for part in parts]
    grid = Volume(masks[0], parts[0].affine @ finer)
    return Atlas(SHIPPED, grid, (template.pyramid, template.brain_pyramid), (masks[0], masks[1]))
