"""One subject: from its files to what the store holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.cohort import Source
from napari_pgan.imaging.io.errors import SubjectRejected, VolumeError
from napari_pgan.imaging.io.parts import BRAIN, MASKS, SEGMENTATION
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
    """What all subjects of a store share.

    Parameters
    ----------
    size
        Pixels along each side of a slice.
    field_of_view
        Millimetres along each side of a slice.
    axis
        ``"axial"``, ``"coronal"`` or ``"sagittal"``.
    may_cut
        Whether a head may be larger than the field of view, as when the user chose it.
    ignored
        Label values that count as background.
    steps
        What is done to each subject before it is scaled.
    atlas
        Where the atlas lies that `steps` speak of: a file, or ``"template"``.
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
        """Of the volumes, one letter an axis in array order."""
        return ORIENTATIONS[self.axis]


@dataclass(frozen=True)
class PreparedSubject:
    """What the store holds of a subject.

    Parameters
    ----------
    images
        float32 (C, z, y, x) in [-1, 1].
    labels
        uint8 (z, y, x).
    spacing
        Millimetres, in the order z, y, x.
    slices
        z of the chosen slices.
    brain_slices
        First and last z with brain.
    attributes
        Normalisation with the clipped share, share of the head that each modality covers, share that is cut, affine,
        provenance.
    """

    images: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    slices: tuple[int, ...]
    brain_slices: tuple[int, int]
    attributes: dict[str, Any]


def prepare_subject(
    files: Mapping[str, Source], channels: Channels, frame: SubjectSettings, folder: Path | None = None
) -> PreparedSubject:
    """Read, orient, register where asked, scale, crop or pad, and reduce one subject.

    The head's box is centred in a square field of view, which is cropped from the volume or padded with background,
    never squeezed. In the plane of the slices pixels are area averages; across them the spacing stays as it is.

    Parameters
    ----------
    files
        Modality or ``"seg"`` → file; the segmentation is left out where no labels are declared.
    channels
        The modalities wanted, and the labels declared.
    frame
        Size, field of view and direction of the slices, and the steps before.
    folder
        For pictures and transforms of the registration; None: none are written.

    Raises
    ------
    SubjectRejected
        With the reason: a file that cannot be read, volumes on different grids, an image or mask that is empty, an
        undeclared label, a head larger than the field of view, a registration that failed.
    """
    wanted = (*channels.modalities, SEGMENTATION) if channels.labels else channels.modalities
    if frame.steps.strip and BRAIN in files:
        wanted = (*wanted, BRAIN)
    volumes = read_parts(files, wanted, frame.orientation, frame.steps)
    if SEGMENTATION in volumes:
        volumes[SEGMENTATION] = _segmentation(volumes[SEGMENTATION], channels, frame.ignored)
    atlas = load_atlas(frame.atlas, frame.orientation) if frame.atlas is not None else None
    together = preprocess(volumes, frame.steps, atlas, folder)
    volumes, foregrounds, head = together.volumes, together.foregrounds, together.head
    about: dict[str, Any] = {}
    if together.brain_mask is not None:
        about["brain_mask"] = together.brain_mask
    if together.alignment is not None:
        about["registration"] = together.alignment.to_dict()
    segmentation = volumes.pop(SEGMENTATION, None) or _unmarked(next(iter(volumes.values())))
    pixel = frame.field_of_view / frame.size
    window = crop_around(head, segmentation.spacing, (frame.size, frame.size), (pixel, pixel))
    # a field of view is chosen to hold the references; what another modality shows beyond is cut, and counted as `cut`
    length = head_extent(foregrounds[together.reference].mask, segmentation.spacing).in_plane
    if length > frame.field_of_view and not frame.may_cut:
        raise SubjectRejected(
            f"its head is {length:.0f} mm long, more than the store's field of view of "
            f"{frame.field_of_view:g} mm; prepare a new store with a larger --fov"
        )
    images = np.empty((len(volumes), *window.shape), np.float32)
    normalisation = {}
    for c, (part, volume) in enumerate(volumes.items()):
        images[c], scaling = scale_and_crop(window, part, volume.array, foregrounds[part])
        normalisation[part] = scaling.to_dict()
    labels = window.labels(segmentation.array, channels.values)
    areas = head.sum(axis=(1, 2))
    return PreparedSubject(
        images,
        labels,
        (segmentation.spacing[0], pixel, pixel),
        tuple(int(z) for z in np.flatnonzero(areas >= SLICE_SHARE * areas.max())),
        (window.extent.bounds[0][0], window.extent.bounds[0][1] - 1),
        {
            "normalisation": normalisation,
            "coverage": {part: float(found.mask.sum() / head.sum()) for part, found in foregrounds.items()},
            "cut": window.cut(head),
            "affine": window.affine(segmentation.affine).tolist(),
            "provenance": {
                "software": f"napari-pgan {version('napari-pgan')}",
                "shape": list(head.shape),
                "spacing": [round(s, 6) for s in segmentation.spacing],
            },
            **about,
        },
    )


def read_parts(
    files: Mapping[str, Source], parts: tuple[str, ...], orientation: str, steps: PreprocessingSteps = NO_STEPS
) -> dict[str, Volume]:
    """Read some of a subject's files, oriented alike; unless all get another grid, they must lie on one.

    Raises
    ------
    SubjectRejected
        A file cannot be read, or the grids differ.
    """
    volumes: dict[str, Volume] = {}
    for part in parts:
        try:
            volumes[part] = orient(_read(part, files[part]), orientation)
        except VolumeError as error:
            raise SubjectRejected(f"{_said(part)} {error.problem}") from error
    if steps.register or steps.atlas is not None:
        return volumes
    first = next(iter(volumes))
    if different := off_grid(volumes, first):
        where = ", ".join(map(_said, different))
        raise SubjectRejected(f"its volumes lie on different grids ({where} not on that of {first}); give --register")
    return volumes


def _read(part: str, source: Source) -> Volume:
    assert not isinstance(source, tuple)  # those are photographs
    return read_segmentation(source)[0] if part in MASKS else read_volume(source)


def _segmentation(segmentation: Volume, channels: Channels, ignored: tuple[int, ...]) -> Volume:
    """The label map without what counts as background, checked."""
    if ignored:
        kept = np.where(np.isin(segmentation.array, ignored), 0, segmentation.array)
        segmentation = Volume(kept, segmentation.affine)
    check_labels(segmentation.array, channels)
    return segmentation


def _unmarked(volume: Volume) -> Volume:
    """An empty label map for a volume of a cohort without segmentations."""
    return Volume(np.zeros(volume.array.shape, np.uint8), volume.affine)


def label_values(segmentation: np.ndarray) -> list[int]:
    """The values in a label map, background 0 left out.

    Raises
    ------
    SubjectRejected
        Values are not whole numbers, or negative.
    """
    values = np.unique(segmentation[segmentation != 0])
    if (values != np.rint(values)).any():
        raise SubjectRejected("its segmentation holds fractions; label values are whole numbers")
    if values.size and values[0] < 0:
        raise SubjectRejected(f"its segmentation holds the value {values[0]:g}; label values start at 0")
    return [int(value) for value in values]


def check_labels(segmentation: np.ndarray, channels: Channels) -> None:
    """Refuse a label map that is empty or has values nobody declared.

    Raises
    ------
    SubjectRejected
        With the reason.
    """
    values = label_values(segmentation)
    if not values:
        raise SubjectRejected("its segmentation is empty; nothing is marked in it")
    declared = [label.value for label in channels.labels]
    if undeclared := [value for value in values if value not in declared]:
        raise SubjectRejected(
            f"its segmentation holds the value {undeclared[0]}, which no label has; "
            f"declared are {', '.join(map(str, declared))}"
        )


def scale_and_crop(window: Crop, part: str, array: np.ndarray, foreground: Foreground) -> tuple[np.ndarray, Scaling]:
    """A modality in [-1, 1] on the grid, and how it was scaled.

    Raises
    ------
    SubjectRejected
        It holds no image.
    """
    try:
        scaled, scaling = scale(array, foreground)
    except InputError as error:
        raise SubjectRejected(f"{part} {error}") from error
    image = window.images(scaled, -1.0)
    return np.clip(image, -1, 1, out=image), scaling


def _said(part: str) -> str:
    return f"its {MASKS[part]}" if part in MASKS else part
