"""Between the layers of a viewer and the parts of an exam; knows neither napari nor Qt."""

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

WAY = "way_to_patient"
PREFIX = "exam "
LIMITS = "Prepared for research, not for diagnosis."
_RAS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
_BRIGHTEST = 99.8


@dataclass(frozen=True, eq=False)
class LayerPart:
    """What a layer holds, taken at one moment, so that a thread can read it.

    Parameters
    ----------
    name
        The layer's.
    data
        Of a layer with three axes.
    to_world
        4×4, from indices to millimetres of the viewer, both in array order.
    metadata
        The layer's.
    file
        That the layer was opened from, or None.
    marks
        Checksum of what is drawn in a Labels layer, which painting changes in place; 0 of any other.
    """

    name: str
    data: Any
    to_world: np.ndarray
    metadata: Mapping[str, Any]
    file: str | None = None
    marks: int = 0

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same voxels at the same place: nothing was painted, replaced or moved between."""
        return (
            isinstance(other, LayerPart)
            and self.data is other.data
            and self.marks == other.marks
            and np.array_equal(self.to_world, other.to_world)
        )

    @classmethod
    def of(cls, layer: Any) -> LayerPart:
        """Take a napari layer.

        Raises
        ------
        InputError
            It is no grey volume.
        """
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        if getattr(layer, "rgb", False) or np.ndim(data) != 3:
            raise InputError(f"the layer {layer.name!r} is no volume of grey values; take layers with three axes")
        corners = np.vstack([np.zeros(3), np.eye(3)])
        seen = np.array([layer.data_to_world(corner) for corner in corners], float)
        to_world = np.eye(4)
        to_world[:3, :3], to_world[:3, 3] = (seen[1:] - seen[0]).T, seen[0]
        drawn = hasattr(layer, "selected_label") and isinstance(data, np.ndarray)
        marks = zlib.crc32(np.ascontiguousarray(data)) if drawn else 0
        return cls(layer.name, data, to_world, layer.metadata, getattr(layer.source, "path", None), marks)

    def volume(self) -> Volume:
        """The voxels and where they lie in the patient.

        Where the layer shows a file's voxels as they are, the file says where they lie. Else a layer of this plugin
        says which way its axes point, and any other is taken to count upwards, to the back and to the left, as ITK
        does.
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
        letters = letters if letters is not None and len(letters) == 3 else ORIENTATIONS["axial"]
        to_ras = np.zeros((3, 3))  # from millimetres in array order
        for column, letter in enumerate(letters):
            row, sign = _RAS[letter]
            to_ras[row, column] = sign
        affine = np.eye(4)
        affine[:3, :3] = to_ras @ self.to_world[:3, :3][:, ::-1]
        affine[:3, 3] = to_ras @ self.to_world[:3, 3]
        return Volume(array, affine)


def changes_of(layer: Any) -> list[Any]:
    """The events of a napari layer that tell of other voxels or of another place."""
    names = ("data", "paint", "scale", "translate", "rotate", "shear", "affine")
    return [event for name in names if (event := getattr(layer.events, name, None)) is not None]


def exam_layers(
    together: PreprocessedExam, made: ExamOnGrid, way: Mapping[str, Any], labels: Sequence[Label] = ()
) -> list[LayerTuple]:
    """The layers of a prepared exam: a modality each, and the segmentation.

    Where the exam has none, there is an empty one to draw in, if `labels` says what may be drawn.

    Parameters
    ----------
    together, made
        The exam, and the same on a model's grid.
    way
        From `way_to_patient`; every layer keeps it.
    labels
        Those of the model, whose names and colours are taken for the values that it knows.
    """
    values = [] if made.labels is None else [int(v) for v in np.unique(made.labels) if v]
    declared = named(values, (*together.labels, *labels)) if values else tuple(together.labels or labels)
    modalities = tuple(made.images)
    marked = made.labels if made.labels is not None or not declared else np.zeros(made.grid.shape, np.uint8)
    windows = {
        part: (-1.0, 1.0) if part in made.scalings else _window(image, together.foregrounds[part].background)
        for part, image in made.images.items()
    }
    about = {"limits": LIMITS, "samples": [{"synthetic": False}], WAY: dict(way)}
    return stack_layers(
        np.stack([made.images[m] for m in modalities])[None],
        None if marked is None else marked[None],
        Channels(modalities, declared if marked is not None else ()),
        made.grid,
        about,
        prefix=PREFIX,
        windows=windows,
    )


def named(values: Sequence[int], known: Sequence[Label]) -> tuple[Label, ...]:
    """A label for each value: the first known one that has it, else one called by its value."""
    from napari_pgan.imaging.cohorts.brats_labels import PALETTE

    by_value = {label.value: label for label in reversed(known)}
    found = [by_value.get(v) or Label(v, f"label {v}", PALETTE[i % len(PALETTE)]) for i, v in enumerate(values)]
    names = [label.name for label in found]
    return tuple(Label(x.value, f"{x.name} {x.value}", x.color) if names.count(x.name) > 1 else x for x in found)


def grid_said(grid: Grid) -> str:
    """A grid of an exam in words."""
    assert grid.spacing is not None
    shape = " × ".join(str(n) for n in grid.shape)
    return f"{shape} voxels of {' × '.join(f'{s:.3g}' for s in grid.spacing)} mm"


def _window(image: np.ndarray, background: float) -> tuple[float, float]:
    high = float(np.percentile(image, _BRIGHTEST))
    return (background, high) if high > background else (background, background + 1.0)
