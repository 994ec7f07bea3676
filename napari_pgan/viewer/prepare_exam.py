"""Preparation of one exam for the Prepare dock: find volumes, preview, put on a grid; imports neither napari nor Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_pgan.imaging.io.modality_names import BRAIN, SEGMENTATION
from napari_pgan.viewer.exam_comparison import PREVIEW, ExamComparison
from napari_pgan.viewer.exam_layers import PATIENT_TRANSFORMS, LayerSnapshot, exam_layers
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple

if TYPE_CHECKING:
    from napari_pgan.imaging.cohorts.exam_files import ExamVolume
    from napari_pgan.imaging.preprocessing.exam import PreprocessedExam
    from napari_pgan.imaging.preprocessing.exam_grid import ExamOnGrid
    from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
    from napari_pgan.schema import Grid, Label

MASKS = (SEGMENTATION, BRAIN)


class ListedVolume(NamedTuple):
    """A volume's name, its layer or file, and the modality or mask that the name suggests."""

    name: str
    source: Any
    part: str | None


def list_volumes(paths: Sequence[str]) -> list[ListedVolume]:
    """The volumes in folders and files.

    Raises
    ------
    InputError
        A path contains no volume.
    """
    from napari_pgan.imaging.cohorts.exam_files import find_exam, unique_parts

    found = [volume for path in paths for volume in find_exam(path)]
    parts = unique_parts(volume.part for volume in found)
    return [ListedVolume(volume.name, volume, part) for volume, part in zip(found, parts, strict=True)]


def list_layers(layers: Sequence[Any]) -> list[ListedVolume]:
    """The napari layers that are volumes, without those that the dock made."""
    from napari_pgan.imaging.cohorts.exam_files import guess_part, unique_parts

    found = [
        layer
        for layer in layers
        if type(layer).__name__ in ("Image", "Labels")
        and layer.ndim == 3
        and not getattr(layer, "rgb", False)
        and not {PATIENT_TRANSFORMS, PREVIEW} & set(layer.metadata.get(METADATA_KEY) or ())
    ]
    parts = [guess_part(layer.name) for layer in found]
    for i, layer in enumerate(found):
        if type(layer).__name__ == "Labels" and parts[i] not in MASKS:
            parts[i] = SEGMENTATION
    return [ListedVolume(layer.name, layer, part) for layer, part in zip(found, unique_parts(parts), strict=True)]


@dataclass(frozen=True)
class PreviewRequest:
    """The inputs of a preview; a preview whose inputs have changed since is stale.

    Parameters
    ----------
    volumes
        Modality, ``"seg"`` or ``"brain"`` → file or layer.
    steps
        The preprocessing steps.
    atlas
        A file, ``"template"``, a layer, or None.
    """

    volumes: Mapping[str, ExamVolume | LayerSnapshot]
    steps: PreprocessingSteps
    atlas: str | LayerSnapshot | None

    def run(self, report: Callable[[str, int, int], None]) -> ExamComparison:
        """Read the exam and run the steps.

        Parameters
        ----------
        report
            Called with (task, done, total); it may raise to end the work.

        Raises
        ------
        InputError
            A volume cannot be read or used.
        """
        from napari_pgan.imaging.preprocessing.exam import preprocess_exam, read_exam

        report("Reading the layers", 0, 1)
        volumes = {part: x.volume() if isinstance(x, LayerSnapshot) else x for part, x in self.volumes.items()}
        atlas = self.atlas.volume() if isinstance(self.atlas, LayerSnapshot) else self.atlas
        return ExamComparison(preprocess_exam(read_exam(volumes, report, atlas), self.steps, report))


class PreparedExam(NamedTuple):
    """An exam on its grid, its patient space, and its layers."""

    made: ExamOnGrid
    transforms: dict[str, Any]
    layers: list[LayerTuple]


def put_on_grid(
    together: PreprocessedExam,
    grid: Grid | tuple[int, float | None, str],
    normalise: bool,
    labels: Sequence[Label],
) -> PreparedExam:
    """Resample a previewed exam and make its layers.

    Parameters
    ----------
    together
        The exam.
    grid
        A model's grid, or size, field of view and slice direction.
    normalise
        Whether to scale intensities to −1…1.
    labels
        The model's labels.

    Raises
    ------
    InputError
        The exam does not fit the grid.
    """
    from napari_pgan.imaging.preprocessing.exam_grid import choose_grid, patient_transforms, resample_to_grid

    made = resample_to_grid(together, choose_grid(together, *grid) if isinstance(grid, tuple) else grid, normalise)
    transforms = patient_transforms(together, made)
    return PreparedExam(made, transforms, exam_layers(together, made, transforms, labels))
