"""Prepare one subject: from its files to the content of a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.imaging.cohorts.cohort import Source
from napari_pgan.imaging.io.errors import SubjectRejected, VolumeError, naming
from napari_pgan.imaging.io.modality_names import BRAIN, MASKS, SEGMENTATION, describe_part
from napari_pgan.imaging.io.segmentation import read_segmentation
from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.normalise.crop import Crop, crop_around
from napari_pgan.imaging.normalise.field_of_view import head_extent
from napari_pgan.imaging.normalise.intensity import Foreground, Scaling, scale
from napari_pgan.imaging.preprocessing.pipeline import off_grid, preprocess
from napari_pgan.imaging.preprocessing.steps import NO_STEPS, PreprocessingSteps
from napari_pgan.imaging.registration.atlas import load_atlas
from napari_pgan.schema import Channels

ORIENTATIONS = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
SLICE_SHARE = 0.25
SLICE_RULE = (
    f"slices whose brain (or head) covers at least {SLICE_SHARE:.0%} of the area that it covers in its largest slice"
)


@dataclass(frozen=True)
class SubjectSettings:
    """Settings common to all subjects of a store.

    Parameters
    ----------
    size
        Pixels per side of a slice.
    field_of_view
        Side of a slice in mm.
    axis
        ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    may_cut
        Whether a head may exceed the field of view, as when the user chose it.
    ignored
        Label values that count as background.
    steps
        Preprocessing before scaling.
    atlas
        Source of the atlas in `steps`: a file, or ``"template"``.
    """

    size: int
    field_of_view: float
    axis: str
    may_cut: bool = False
    ignored: tuple[int, ...] = ()
    steps: PreprocessingSteps = NO_STEPS
    atlas: str | None = None

    @property
    def orientation(self) -> str:
        """Orientation of the volumes, one letter per axis in array order."""
        return ORIENTATIONS[self.axis]


@dataclass(frozen=True)
class PreparedSubject:
    """Content of a store for one subject.

    Parameters
    ----------
    images
        float32 (C, z, y, x) in [-1, 1].
    labels
        uint8 (z, y, x).
    spacing
        Spacing z, y, x in mm.
    slices
        Indices z of the selected slices.
    brain_slices
        First and last z with brain or head.
    attributes
        Normalisation, share of the head that each modality covers, share of the head that is cut, affine, provenance.
    """

    images: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    slices: tuple[int, ...]
    brain_slices: tuple[int, int]
    attributes: dict[str, Any]


def prepare_subject(
    files: Mapping[str, Source], channels: Channels, settings: SubjectSettings, folder: Path | None = None
) -> PreparedSubject:
    """Read, orient, preprocess, scale and crop or pad one subject.

    A square field of view is centred on the head's bounding box. Pixels are area averages in the slice plane; the
    spacing between slices does not change.

    Parameters
    ----------
    files
        Modality or ``"seg"`` → file; without declared labels the segmentation is ignored.
    channels
        The modalities to prepare and the declared labels.
    settings
        Settings of the store.
    folder
        For pictures and transforms; None: none are written.

    Raises
    ------
    SubjectRejected
        A file cannot be read, volumes are on different grids, an image or mask is empty, a label is undeclared, the
        head exceeds the field of view, or a registration failed.
    """
    parts = channels.modalities
    if channels.labels:
        parts += (SEGMENTATION,)
    if settings.steps.strip and BRAIN in files:
        parts += (BRAIN,)
    volumes = read_parts(files, parts, settings.orientation, settings.steps)
    if SEGMENTATION in volumes:
        segmentation = volumes[SEGMENTATION]
        array = check_labels(segmentation.array, channels, settings.ignored)
        volumes[SEGMENTATION] = Volume(array, segmentation.affine)
    atlas = load_atlas(settings.atlas, settings.orientation) if settings.atlas is not None else None
    result = preprocess(volumes, settings.steps, atlas, folder)
    volumes, foregrounds, head = result.volumes, result.foregrounds, result.head.array
    marked = volumes.pop(SEGMENTATION, None)
    grid = marked or next(iter(volumes.values()))
    pixel = settings.field_of_view / settings.size
    crop = crop_around(head, grid.spacing, (settings.size, settings.size), (pixel, pixel))
    # the field of view is chosen by the references; what other modalities show beyond it is cut and counted in `cut`
    length = head_extent(foregrounds[result.reference].mask, grid.spacing).in_plane
    if length > settings.field_of_view and not settings.may_cut:
        raise SubjectRejected(
            f"its head is {length:.0f} mm long, more than the store's field of view of "
            f"{settings.field_of_view:g} mm; prepare a new store with a larger --fov"
        )
    images = np.empty((len(volumes), *crop.shape), np.float32)
    normalisation = {}
    for c, (part, volume) in enumerate(volumes.items()):
        images[c], scaling = scale_and_crop(crop, part, volume.array, foregrounds[part])
        normalisation[part] = scaling.to_dict()
    areas = head.sum(axis=(1, 2))
    attributes = {
        "normalisation": normalisation,
        "coverage": {part: float(foreground.mask.sum() / head.sum()) for part, foreground in foregrounds.items()},
        "cut": crop.cut(head),
        "affine": crop.affine(grid.affine).tolist(),
        "provenance": {
            "software": f"napari-pgan {version('napari-pgan')}",
            "shape": list(head.shape),
            "spacing": [round(s, 6) for s in grid.spacing],
        },
    }
    if result.brain_mask is not None:
        attributes["brain_mask"] = result.brain_mask
    if result.alignment is not None:
        attributes["registration"] = result.alignment.to_dict()
    return PreparedSubject(
        images,
        crop.labels(marked.array, channels.values) if marked is not None else np.zeros(crop.shape, np.uint8),
        (grid.spacing[0], pixel, pixel),
        tuple(int(z) for z in np.flatnonzero(areas >= SLICE_SHARE * areas.max())),
        (crop.extent.bounds[0][0], crop.extent.bounds[0][1] - 1),
        attributes,
    )


def read_parts(
    files: Mapping[str, Source], parts: tuple[str, ...], orientation: str, steps: PreprocessingSteps = NO_STEPS
) -> dict[str, Volume]:
    """Read and reorient some parts of a subject.

    Raises
    ------
    SubjectRejected
        A file cannot be read, or grids differ and `steps` does not resample them.
    """
    volumes: dict[str, Volume] = {}
    for part in parts:
        source = files[part]
        assert not isinstance(source, tuple)  # photographs only
        try:
            volume = read_segmentation(source)[0] if part in MASKS else read_volume(source)
        except VolumeError as error:
            raise SubjectRejected(f"{describe_part(part, 'its')} {error.problem}") from error
        volumes[part] = orient(volume, orientation)
    if steps.register or steps.atlas is not None:
        return volumes
    first = next(iter(volumes))
    if different := off_grid(volumes, first):
        names = ", ".join(describe_part(part, "its") for part in different)
        raise SubjectRejected(f"its volumes lie on different grids ({names} not on that of {first}); give --register")
    return volumes


def label_values(segmentation: np.ndarray) -> list[int]:
    """Return the values in a label map except background 0.

    Raises
    ------
    SubjectRejected
        A value is negative or not a whole number.
    """
    values = np.unique(segmentation[segmentation != 0])
    if (values != np.rint(values)).any():
        raise SubjectRejected("its segmentation contains fractions; label values are whole numbers")
    if values.size and values[0] < 0:
        raise SubjectRejected(f"its segmentation contains the value {values[0]:g}; label values start at 0")
    return [int(value) for value in values]


def check_labels(segmentation: np.ndarray, channels: Channels, ignored: Collection[int]) -> np.ndarray:
    """Return a label map with `ignored` values set to background, checked.

    Raises
    ------
    SubjectRejected
        The label map is empty or has undeclared values.
    """
    if ignored:
        segmentation = np.where(np.isin(segmentation, list(ignored)), 0, segmentation)
    values = label_values(segmentation)
    if not values:
        raise SubjectRejected("its segmentation is empty; nothing is marked in it")
    declared = [label.value for label in channels.labels]
    if undeclared := [value for value in values if value not in declared]:
        raise SubjectRejected(
            f"its segmentation contains the value {undeclared[0]}, which no label has; "
            f"declared are {', '.join(map(str, declared))}"
        )
    return segmentation


def scale_and_crop(crop: Crop, part: str, array: np.ndarray, foreground: Foreground) -> tuple[np.ndarray, Scaling]:
    """Scale a modality to [-1, 1] and resample it to the grid; also return its intensity range.

    Raises
    ------
    SubjectRejected
        The volume contains no image.
    """
    with naming(part):
        scaled, scaling = scale(array, foreground)
    image = crop.images(scaled, -1.0)
    return np.clip(image, -1, 1, out=image), scaling
