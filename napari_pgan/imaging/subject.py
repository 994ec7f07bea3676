"""One subject: from its files to what the store holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.imaging.alignment import MARKS, align
from napari_pgan.imaging.aside import SetAside
from napari_pgan.imaging.atlas import load_atlas
from napari_pgan.imaging.bias import correct_bias
from napari_pgan.imaging.brainmask import surest_brain
from napari_pgan.imaging.cohorts.found import Source
from napari_pgan.imaging.fieldofview import Extent, head_extent, pixel_weights, resample, resample_labels, window_start
from napari_pgan.imaging.intensity import Foreground, find_foreground, scale
from napari_pgan.imaging.names import BRAIN, SEGMENTATION
from napari_pgan.imaging.segmentation import read_segmentation
from napari_pgan.imaging.steps import NONE, Steps
from napari_pgan.imaging.volume import Volume, VolumeError, orient, read_volume
from napari_pgan.spec import Channels

ORIENTATIONS = {"axial": "SPL", "coronal": "PIL", "sagittal": "LIP"}
SLICE_SHARE = 0.25
SLICE_RULE = (
    f"slices whose brain (or head) covers at least {SLICE_SHARE:.0%} of the area that it covers in its largest slice"
)


@dataclass(frozen=True)
class Frame:
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
    steps: Steps = NONE
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
    files: Mapping[str, Source], channels: Channels, frame: Frame, folder: Path | None = None
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
    SetAside
        With the reason: a file that cannot be read, volumes on different grids, an image or mask that is empty, an
        undeclared label, a head larger than the field of view, a registration that failed.
    """
    wanted = (*channels.modalities, SEGMENTATION) if channels.labels else channels.modalities
    if frame.steps.strip and BRAIN in files:
        wanted = (*wanted, BRAIN)
    volumes = read_parts(files, wanted, frame.orientation, frame.steps)
    if SEGMENTATION in volumes:
        volumes[SEGMENTATION] = _segmentation(volumes[SEGMENTATION], channels, frame.ignored)
    volumes, foregrounds, about = _brought_together(volumes, frame, folder)
    segmentation = volumes.pop(SEGMENTATION, None) or _unmarked(next(iter(volumes.values())))
    head = np.logical_or.reduce([found.mask for found in foregrounds.values()])
    extent = head_extent(head, segmentation.spacing)
    if extent.in_plane > frame.field_of_view and not frame.may_cut:
        raise SetAside(
            f"its head is {extent.in_plane:.0f} mm long, more than the store's field of view of "
            f"{frame.field_of_view:g} mm; prepare a new store with a larger --fov"
        )
    rows, columns, starts = _window(head.shape, extent, frame)
    images = np.empty((len(volumes), len(head), frame.size, frame.size), np.float32)
    normalisation = {}
    for c, (part, volume) in enumerate(volumes.items()):
        scaled, normalisation[part] = _scaled(part, volume.array, foregrounds[part])
        scaled += 1
        images[c] = resample(scaled, rows, columns)
    images -= 1
    np.clip(images, -1, 1, out=images)
    labels = resample_labels(segmentation.array, channels.values, rows, columns)
    areas = head.sum(axis=(1, 2))
    return PreparedSubject(
        images,
        labels,
        (extent.spacing[0], frame.field_of_view / frame.size, frame.field_of_view / frame.size),
        tuple(int(z) for z in np.flatnonzero(areas >= SLICE_SHARE * areas.max())),
        (extent.bounds[0][0], extent.bounds[0][1] - 1),
        {
            "normalisation": normalisation,
            "coverage": {part: float(found.mask.sum() / head.sum()) for part, found in foregrounds.items()},
            "cut": _cut(head, starts, extent, frame),
            "affine": _affine(segmentation, starts, extent, frame).tolist(),
            "provenance": {
                "software": f"napari-pgan {version('napari-pgan')}",
                "shape": list(head.shape),
                "spacing": [round(s, 6) for s in extent.spacing],
            },
            **about,
        },
    )


def read_parts(
    files: Mapping[str, Source], parts: tuple[str, ...], orientation: str, steps: Steps = NONE
) -> dict[str, Volume]:
    """Read some of a subject's files, oriented alike; unless all get another grid, they must lie on one.

    Raises
    ------
    SetAside
        A file cannot be read, or the grids differ.
    """
    volumes: dict[str, Volume] = {}
    for part in parts:
        try:
            volumes[part] = orient(_read(part, files[part]), orientation)
        except VolumeError as error:
            raise SetAside(f"{_said(part)} {error.problem}") from error
    if steps.register or steps.atlas is not None:
        return volumes
    first = next(iter(volumes))
    if different := [part for part, volume in volumes.items() if not volume.same_grid(volumes[first])]:
        where = ", ".join(map(_said, different))
        raise SetAside(f"its volumes lie on different grids ({where} not on that of {first}); give --register")
    return volumes


def _read(part: str, source: Source) -> Volume:
    assert not isinstance(source, tuple)  # those are photographs
    return read_segmentation(source)[0] if part in MARKS else read_volume(source)


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
    SetAside
        Values are not whole numbers, or negative.
    """
    values = np.unique(segmentation[segmentation != 0])
    if (values != np.rint(values)).any():
        raise SetAside("its segmentation holds fractions; label values are whole numbers")
    if values.size and values[0] < 0:
        raise SetAside(f"its segmentation holds the value {values[0]:g}; label values start at 0")
    return [int(value) for value in values]


def check_labels(segmentation: np.ndarray, channels: Channels) -> None:
    """Refuse a label map that is empty or has values nobody declared.

    Raises
    ------
    SetAside
        With the reason.
    """
    values = label_values(segmentation)
    if not values:
        raise SetAside("its segmentation is empty; nothing is marked in it")
    declared = [label.value for label in channels.labels]
    if undeclared := [value for value in values if value not in declared]:
        raise SetAside(
            f"its segmentation holds the value {undeclared[0]}, which no label has; "
            f"declared are {', '.join(map(str, declared))}"
        )


def _foreground(part: str, array: np.ndarray) -> Foreground:
    try:
        return find_foreground(array)
    except InputError as error:
        raise SetAside(f"{part} {error}") from error


def _brought_together(
    volumes: dict[str, Volume], frame: Frame, folder: Path | None
) -> tuple[dict[str, Volume], dict[str, Foreground], dict[str, Any]]:
    """The volumes on one grid, their foregrounds, and what there is to say about how that was done."""
    steps = frame.steps
    images = {part: volume for part, volume in volumes.items() if part not in MARKS}
    foregrounds = {part: _foreground(part, volume.array) for part, volume in images.items()}
    about: dict[str, Any] = {}
    homes: dict[str, str] = {}
    if steps.bias:
        images = {part: correct_bias(volume, foregrounds[part]) for part, volume in images.items()}
        volumes = volumes | images
    if steps.strip:
        assert steps.reference is not None
        volumes[BRAIN], about["brain_mask"] = _brain(volumes.get(BRAIN), images, foregrounds, steps.reference)
        if "modality" in about["brain_mask"]:
            homes[BRAIN] = about["brain_mask"]["modality"]
    if steps.register or steps.atlas is not None:
        assert steps.reference is not None
        aligned = align(
            volumes,
            foregrounds,
            steps.reference,
            folder=folder,
            aligned=not steps.register,
            atlas=load_atlas(frame.atlas, frame.orientation) if frame.atlas is not None else None,
            homes=homes,
            smooth_labels=steps.labels == "gaussian",
        )
        volumes, foregrounds, about["registration"] = aligned.volumes, aligned.foregrounds, aligned.to_dict()
    if steps.strip:
        brain = volumes.pop(BRAIN).array > 0
        if not brain.any():
            raise SetAside("its brain mask is empty")
        foregrounds = {
            part: Foreground(brain & head.mask if head.stripped else brain, head.background, True)
            for part, head in foregrounds.items()
        }
    return volumes, foregrounds, about


def _brain(
    given: Volume | None, images: dict[str, Volume], foregrounds: dict[str, Foreground], reference: str
) -> tuple[Volume, dict[str, Any]]:
    """The brain's mask, the subject's own or else found, and where it comes from."""
    if given is not None:
        mask = given.array > 0
        if not mask.any():
            raise SetAside("its brain mask is empty")
        millilitres = float(mask.sum() * np.prod(given.spacing) / 1000)
        return Volume(mask, given.affine), {"given": True, "millilitres": millilitres}
    try:
        part, brain = surest_brain(images, foregrounds, reference)
    except InputError as error:
        raise SetAside(str(error)) from error
    return Volume(brain.mask, images[part].affine), {
        "given": False,
        "modality": part,
        "disagreement": brain.registered.disagreement,
        "millilitres": brain.millilitres,
    }


def _scaled(part: str, array: np.ndarray, foreground: Foreground) -> tuple[np.ndarray, dict[str, Any]]:
    try:
        scaled, scaling = scale(array, foreground)
    except InputError as error:
        raise SetAside(f"{part} {error}") from error
    return scaled, scaling.to_dict()


def _said(part: str) -> str:
    return f"its {MARKS[part]}" if part in MARKS else part


def _window(shape: tuple[int, ...], extent: Extent, frame: Frame) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Weights of rows and columns, and where the field of view starts, in voxels (y, x)."""
    weights, starts = [], []
    for axis in (1, 2):
        spacing = extent.spacing[axis]
        start = window_start(*extent.bounds[axis], spacing, frame.field_of_view)
        weights.append(pixel_weights(shape[axis], start, frame.field_of_view / spacing, frame.size))
        starts.append(start)
    return weights[0], weights[1], (starts[0], starts[1])


def _cut(head: np.ndarray, starts: tuple[float, float], extent: Extent, frame: Frame) -> float:
    """Share of the head's voxels outside the field of view."""
    (y0, y1), (x0, x1) = (
        (max(0, int(start)), max(0, int(start + frame.field_of_view / spacing)))
        for start, spacing in zip(starts, extent.spacing[1:], strict=True)
    )
    return float(1 - head[:, y0:y1, x0:x1].sum() / head.sum())


def _affine(volume: Volume, starts: tuple[float, float], extent: Extent, frame: Frame) -> np.ndarray:
    """From indices (x, y, z) of the stored volume to millimetres in RAS of the source's space."""
    change = np.eye(4)
    for column, (start, spacing) in enumerate(zip(starts[::-1], extent.spacing[:0:-1], strict=True)):
        step = frame.field_of_view / frame.size / spacing
        change[column, column] = step
        change[column, 3] = start + step / 2 - 0.5
    affine: np.ndarray = volume.affine @ change
    return affine
