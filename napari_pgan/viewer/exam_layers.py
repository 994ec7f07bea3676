"""Conversion between viewer layers and the parts of an exam; imports neither napari nor Qt."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, Grid, Label
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, stack_layers

if TYPE_CHECKING:
    from napari_pgan.imaging.io.volume import Volume
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam
    from napari_pgan.imaging.preprocessing.exam_grid import ExamOnGrid

PATIENT_TRANSFORMS = "way_to_patient"  # metadata key of what `patient_transforms` returns
PREFIX = "exam "
LIMITS = "Prepared for research, not for diagnosis."
_RAS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
_WHITE_PERCENTILE = 99.8


@dataclass(frozen=True, eq=False)
class LayerSnapshot:
    """The state of a layer at one moment, for use in a thread.

    Two snapshots are equal if they have the same voxels at the same position.

    Parameters
    ----------
    name
        The layer's name.
    data
        Its data, with three axes.
    to_world
        4×4, from indices to the viewer's millimetres, both in array order.
    metadata
        The layer's metadata.
    file
        The file that the layer was opened from, or None.
    checksum
        Checksum of a Labels layer, which painting changes in place; 0 for other layers.
    """

    name: str
    data: Any
    to_world: np.ndarray
    metadata: Mapping[str, Any]
    file: str | None = None
    checksum: int = 0

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LayerSnapshot)
            and self.data is other.data
            and self.checksum == other.checksum
            and np.array_equal(self.to_world, other.to_world)
        )

    @classmethod
    def of(cls, layer: Any) -> LayerSnapshot:
        """Take a snapshot of a napari layer.

        Raises
        ------
        InputError
            The layer is not a scalar volume.
        """
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        if getattr(layer, "rgb", False) or np.ndim(data) != 3:
            raise InputError(f"the layer {layer.name!r} is not a scalar volume; choose layers with three axes")
        corners = [np.array(layer.data_to_world(corner), float) for corner in np.vstack([np.zeros(3), np.eye(3)])]
        to_world = np.eye(4)
        to_world[:3, :3], to_world[:3, 3] = (np.array(corners[1:]) - corners[0]).T, corners[0]
        is_drawn = hasattr(layer, "selected_label") and isinstance(data, np.ndarray)
        checksum = zlib.crc32(np.ascontiguousarray(data).data) if is_drawn else 0
        return cls(layer.name, data, to_world, layer.metadata, getattr(layer.source, "path", None), checksum)

    def volume(self) -> Volume:
        """The voxels and their position in the patient.

        The affine is the file's if the layer shows the file's voxels unchanged. Otherwise the orientation comes from
        this plugin's metadata; other layers are taken as ``"SPL"``, the axes of ITK.
        """
        from napari_pgan.imaging.io.errors import VolumeError
        from napari_pgan.imaging.io.volume import Volume, read_volume
        from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS

        array = np.asarray(self.data)
        if self.file is not None and Path(self.file).is_file():
            with contextlib.suppress(VolumeError, OSError):
                read = read_volume(self.file)
                if read.array.shape == array.shape and np.array_equal(read.array, array):
                    return read
        about = self.metadata.get(METADATA_KEY, {})
        letters = about.get("grid", {}).get("orientation") if isinstance(about, Mapping) else None
        if letters is None or len(letters) != 3:
            letters = ORIENTATIONS["axial"]
        to_ras = np.zeros((3, 3))  # from millimetres in array order
        for column, letter in enumerate(letters):
            row, sign = _RAS[letter]
            to_ras[row, column] = sign
        affine = np.eye(4)
        affine[:3, :3] = to_ras @ self.to_world[:3, :3][:, ::-1]
        affine[:3, 3] = to_ras @ self.to_world[:3, 3]
        return Volume(array, affine)


def change_events(layer: Any) -> list[Any]:
    """The events of a napari layer that report new voxels or a new position."""
    names = ("data", "paint", "scale", "translate", "rotate", "shear", "affine")
    return [event for name in names if (event := getattr(layer.events, name, None)) is not None]


def exam_layers(
    together: PreprocessedExam, made: ExamOnGrid, transforms: Mapping[str, Any], labels: Sequence[Label] = ()
) -> list[LayerTuple]:
    """The layers of a prepared exam: one for each modality, and the segmentation.

    An exam without a segmentation gets an empty one to draw in, if the exam or `labels` declares labels.

    Parameters
    ----------
    together, made
        The exam, and the exam on a model's grid.
    transforms
        From `patient_transforms`; stored in the metadata of every layer.
    labels
        The model's labels, which give known values their names and colours.
    """
    values = [] if made.labels is None else [int(v) for v in np.unique(made.labels) if v]
    declared = labels_of(values, (*together.labels, *labels)) if values else tuple(together.labels or labels)
    modalities = tuple(made.images)
    segmentation = made.labels
    if segmentation is None and declared:
        segmentation = np.zeros(made.grid.shape, np.uint8)
    windows = {
        part: (-1.0, 1.0) if part in made.scalings else _window(image, together.foregrounds[part].background)
        for part, image in made.images.items()
    }
    return stack_layers(
        np.stack([made.images[m] for m in modalities])[None],
        None if segmentation is None else segmentation[None],
        Channels(modalities, declared if segmentation is not None else ()),
        made.grid,
        {"limits": LIMITS, "samples": [{"synthetic": False}], PATIENT_TRANSFORMS: dict(transforms)},
        prefix=PREFIX,
        windows=windows,
    )


def labels_of(values: Sequence[int], known: Sequence[Label]) -> tuple[Label, ...]:
    """A label for each value: the first known label with that value, or a new one named after the value."""
    from napari_pgan.imaging.cohorts.brats_labels import PALETTE

    by_value = {label.value: label for label in reversed(known)}
    found = [by_value.get(v) or Label(v, f"label {v}", PALETTE[i % len(PALETTE)]) for i, v in enumerate(values)]
    names = [label.name for label in found]
    return tuple(Label(x.value, f"{x.name} {x.value}", x.color) if names.count(x.name) > 1 else x for x in found)


def describe_exam_grid(grid: Grid) -> str:
    """Shape and voxel size of an exam's grid."""
    assert grid.spacing is not None
    shape = " × ".join(str(n) for n in grid.shape)
    return f"{shape} voxels of {' × '.join(f'{s:.3g}' for s in grid.spacing)} mm"


def _window(image: np.ndarray, background: float) -> tuple[float, float]:
    white = float(np.percentile(image, _WHITE_PERCENTILE))
    return (background, white) if white > background else (background, background + 1.0)
