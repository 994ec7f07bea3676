"""Atlases: reference heads to which a cohort is registered, so that voxels correspond between subjects."""

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
TEMPLATE_SPACING = 1.0  # mm of the subjects' grid on the shipped template, whose maps are coarser


@dataclass(frozen=True)
class Atlas:
    """Target of the registration of subjects.

    Parameters
    ----------
    identity
        ``"template"``, or a digest of the content that does not reveal the path.
    grid
        Volume whose shape and affine subjects get.
    heads
        References for heads with skull and for brains without.
    extents
        Their masks, bool on the grid.
    """

    identity: str
    grid: Volume
    heads: tuple[Pyramid, Pyramid]
    extents: tuple[np.ndarray, np.ndarray]

    def pyramid(self, stripped: bool) -> Pyramid:
        """Return the reference for a head, or for a brain without skull."""
        return self.heads[stripped]

    def picture(self, stripped: bool) -> Volume:
        """Return its image on the grid, as a head or as a brain without skull."""
        if self.identity != SHIPPED:
            return self.grid
        template = shipped_template()
        array = np.where(template.brain, template.image.array, AIR) if stripped else template.image.array
        image = Volume(array, template.image.affine)
        return resample_image(image, np.eye(4), self.grid.array.shape, self.grid.affine, AIR)

    def windowed(self, stripped: bool) -> WindowedVolume:
        """Return the image with grey levels for display and a black background."""
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
        outside = ndimage.distance_transform_edt(~head.mask, sampling=volume.spacing)
        pyramid = Pyramid(volume, head, region=outside <= BRAIN_MARGIN if head.stripped else None)
    except InputError as error:
        raise InputError(f"the atlas {name} {error}".replace("  ", " ")) from error
    digest = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes() + volume.affine.tobytes()).hexdigest()[:16]
    return Atlas(digest, volume, (pyramid, pyramid), (head.mask, head.mask))


def _shipped(template: Template, orientation: str) -> Atlas:
    parts = [orient(Volume(array, template.image.affine), orientation) for array in (template.head, template.brain)]
    factor = round(parts[0].spacing[0] / TEMPLATE_SPACING)
    finer = np.diag([1 / factor, 1 / factor, 1 / factor, 1.0])
    finer[:3, 3] = (1 / factor - 1) / 2  # the field of view is the same, so the first voxel's centre moves outwards
    masks = [np.kron(part.array, np.ones((factor, factor, factor), bool)) for part in parts]
    grid = Volume(masks[0], parts[0].affine @ finer)
    return Atlas(SHIPPED, grid, (template.pyramid, template.brain_pyramid), (masks[0], masks[1]))
