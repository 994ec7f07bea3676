"""Conversion of scanned files to layers on a model's grid, and back to patient space; without Qt."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from displaced_exam import write_exam
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.exam_files import find_exam
from napari_pgan.imaging.io.segmentation import read_segmentation
from napari_pgan.imaging.io.volume import Volume, read_volume, write_volume
from napari_pgan.imaging.preprocessing.exam import PreprocessedExam, preprocess_exam, read_exam
from napari_pgan.imaging.preprocessing.exam_grid import patient_transforms, resample_to_grid
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.model import Model
from napari_pgan.phantom import CHANNELS, make_subject
from napari_pgan.schema import Grid
from napari_pgan.viewer.exam_layers import LayerSnapshot, exam_layers, labels_of
from napari_pgan.viewer.layers import LayerTuple, batch_layers
from napari_pgan.viewer.patient_space import save_in_patient_space
from napari_pgan.viewer.save import save_layers

GRID = Grid((96, 96), (2.25, 2.25), "PL", 2.25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exam")


@pytest.fixture(scope="module")
def truth(folder: Path) -> dict[str, np.ndarray]:
    return write_exam(folder, make_subject(4, 64))


@pytest.fixture(scope="module")
def together(folder: Path, truth: dict[str, np.ndarray]) -> PreprocessedExam:
    return preprocess_exam(
        read_exam({x.part: x for x in find_exam(folder) if x.part}), PreprocessingSteps(reference="t1", register=True)
    )


@pytest.fixture(scope="module")
def exam(together: PreprocessedExam) -> list[LayerTuple]:
    made = resample_to_grid(together, GRID)
    return exam_layers(together, made, patient_transforms(together, made), CHANNELS.labels)


def drawn_lesion(exam: list[LayerTuple], folder: Path, truth: dict[str, np.ndarray]) -> LayerTuple:
    """The empty segmentation with the lesion of T1 drawn in, by nearest neighbour."""
    labels, options, kind = exam[-1]
    about = options["metadata"]["napari_pgan"]
    z, y, x = np.meshgrid(*[np.arange(n) for n in labels.shape], indexing="ij")
    centre = [
        (i - (n - 1) / 2) * s for i, n, s in zip((x, y, z), labels.shape[::-1], options["scale"][::-1], strict=True)
    ]
    t1 = read_volume(folder / "head_t1.nii.gz")
    to_index = np.linalg.inv(t1.affine) @ np.array(about["way_to_patient"]["to_patient"])
    index = np.rint(np.einsum("ij,j...->i...", to_index, np.stack([*centre, np.ones(z.shape)]))[:3]).astype(int)
    inside = np.all([(i >= 0) & (i < n) for i, n in zip(index, t1.array.shape[::-1], strict=True)], axis=0)
    drawn = np.zeros_like(labels)
    drawn[inside] = truth["t1"][tuple(i[inside] for i in index[::-1])]
    return np.where(drawn > 0, 2, 0).astype(np.uint8), options, kind


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_an_edited_segmentation_is_resampled_to_each_scanned_grid(
    exam: list[LayerTuple], folder: Path, truth: dict[str, np.ndarray], tmp_path: Path
) -> None:
    edited = drawn_lesion(exam, folder, truth)
    for part, minimum in (("t1", 0.93), ("t2", 0.88)):  # voxels are 3.4 mm, in T2 5 mm along one axis
        file, sidecar = save_in_patient_space(tmp_path / f"{part}.nii.gz", [edited], onto=part)
        written, original = nib.load(file), nib.load(folder / f"head_{part}.nii.gz")
        assert written.shape == original.shape
        np.testing.assert_array_equal(written.affine, original.affine)
        labels = np.asarray(written.dataobj).T
        assert set(np.unique(labels)) == {0, 2}
        assert dice(labels > 0, truth[part] > 0) > minimum
        about = json.loads(sidecar.read_text())
        assert about["grid_of"] == {file.name: part}
        assert about["edited_by_hand"] == [file.name]


def test_images_return_to_their_own_grids_in_scanner_units(
    exam: list[LayerTuple], folder: Path, tmp_path: Path
) -> None:
    files = save_in_patient_space(tmp_path / "x.nii.gz", exam[:-1])
    assert [f.name for f in files] == ["x_t1.nii.gz", "x_t2.nii.gz", "x.json"]
    for part, file in zip(("t1", "t2"), files, strict=False):
        written, original = nib.load(file), nib.load(folder / f"head_{part}.nii.gz")
        np.testing.assert_array_equal(written.affine, original.affine)
        a, b = np.asarray(written.dataobj), np.asarray(original.dataobj)
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97
        inside = b > 0
        assert a[inside].mean() == pytest.approx(b[inside].mean(), rel=0.05)


def test_seg_nrrd_has_label_names_and_colours(
    exam: list[LayerTuple], folder: Path, truth: dict[str, np.ndarray], tmp_path: Path
) -> None:
    edited = drawn_lesion(exam, folder, truth)
    edited[0][0, 0, 0] = 7  # not a declared label
    file, _ = save_in_patient_space(tmp_path / "x.nrrd", [edited], onto="t1")
    assert file.name == "x_seg.seg.nrrd"
    volume, labels = read_segmentation(file)
    assert volume.same_grid(read_volume(folder / "head_t1.nii.gz"))
    assert [label.name for label in labels] == [*(x.name for x in CHANNELS.labels), "label 7"]
    assert labels[:3] == CHANNELS.labels


def test_a_layer_drawn_over_the_exam_is_saved_with_it(exam: list[LayerTuple], tmp_path: Path) -> None:
    image, options, _ = exam[0]
    new = np.zeros((image.shape[0], 48, 48), np.int32)  # napari's new-labels button chooses its own scale
    new[20:30, 10:30, 20:40] = 1
    scale = (options["scale"][0], 4.5, 4.5)
    translate = (options["translate"][0], options["translate"][1] + 1.125, options["translate"][2] + 1.125)
    drawn = (new, {"name": "my box", "scale": scale, "translate": translate, "metadata": {}}, "labels")
    box, image_file, _ = save_in_patient_space(tmp_path / "x.nii.gz", [drawn, exam[0]], onto="t1")
    assert box.name == "x_my-box.nii.gz"
    labels = np.asarray(nib.load(box).dataobj)
    spacing = nib.load(box).header.get_zooms()
    volume = labels.sum() * np.prod(spacing)
    assert volume == pytest.approx(new.sum() * np.prod(scale), rel=0.05)
    assert nib.load(image_file).shape == labels.shape


def test_a_generated_slice_is_saved_at_its_shown_position(
    exam: list[LayerTuple], model: Model, tmp_path: Path, folder: Path
) -> None:
    layers = batch_layers(model.sample(seeds=[1]), model, [1])
    transforms = exam[0][1]["metadata"]["napari_pgan"]["way_to_patient"]
    with pytest.raises(InputError, match=r"single slice.*Prepare dock"):
        save_in_patient_space(tmp_path / "x.nii.gz", [layers[1]], transforms=transforms)
    z = exam[0][1]["translate"][0] + 30 * exam[0][1]["scale"][0]
    transforms = exam[0][1]["metadata"]["napari_pgan"]["way_to_patient"]
    file, _ = save_in_patient_space(tmp_path / "x.nii.gz", [layers[0]], transforms=transforms, onto="t1", slice_at=z)
    found = np.asarray(nib.load(file).dataobj).T
    assert np.flatnonzero((found > found.min()).any(axis=(1, 2))).tolist() == [30]


def test_exam_layers_can_be_saved_in_model_space(exam: list[LayerTuple], tmp_path: Path) -> None:
    *files, _ = save_layers(tmp_path / "x.nii.gz", exam)
    assert [f.name for f in files] == ["x_t1.nii.gz", "x_t2.nii.gz", "x_seg.nii.gz"]
    np.testing.assert_array_equal(np.asarray(nib.load(files[1]).dataobj).T, exam[1][0])


def test_exam_layers_share_the_position_of_generated_layers(exam: list[LayerTuple], model: Model) -> None:
    for data, options, _ in exam:
        assert data.shape[1:] == GRID.shape
        assert options["scale"][1:] == GRID.spacing
        assert options["translate"][1:] == (-95 / 2 * 2.25,) * 2
        assert options["units"] == ("mm",) * 3
        about = options["metadata"]["napari_pgan"]
        assert json.loads(json.dumps(about)) == about
    assert [options["name"] for _, options, _ in exam] == ["exam t1", "exam t2", "exam segmentation"]
    assert not exam[-1][0].any()
    assert exam[-1][1]["features"]["name"] == ["background", *(x.name for x in CHANNELS.labels)]


def test_a_rejected_save_gives_the_reason_and_writes_nothing(
    exam: list[LayerTuple], model: Model, tmp_path: Path
) -> None:
    several = batch_layers(model.sample(seeds=[1, 2]), model, [1, 2])
    data, options, kind = exam[0]
    rotated = (data, {**options, "rotate": np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])}, kind)
    for layers, onto, reason in [
        ([several[0]], None, "no layer has a patient space"),
        ([several[0], exam[1]], None, "not a single scalar volume or slice"),
        ([exam[0], exam[0]], None, "two layers.* x_t1"),
        ([rotated], None, "rotated or sheared"),
        ([exam[0]], "flair", "flair.* t1, t2"),
    ]:
        with pytest.raises(InputError, match=reason):
            save_in_patient_space(tmp_path / "x.nii.gz", layers, onto=onto)
    assert list(tmp_path.iterdir()) == []


def layer(
    data: np.ndarray, path: Path | None = None, metadata: dict[str, Any] | None = None, **placement: Any
) -> LayerSnapshot:
    from napari.layers import Image

    image = Image(data, name="x", metadata=metadata, **placement)
    return LayerSnapshot.of(
        SimpleNamespace(
            name="x", data=image.data, data_to_world=image.data_to_world, metadata=image.metadata,
            source=SimpleNamespace(path=None if path is None else str(path)),
        )
    )  # fmt: skip


@given(
    st.tuples(*[st.floats(0.5, 6)] * 3), st.tuples(*[st.floats(-100, 100)] * 3), st.sampled_from(["SPL", "PIL", "LIP"])
)
def test_a_layer_is_read_at_its_position(scale: tuple[float, ...], translate: tuple[float, ...], letters: str) -> None:
    data = np.zeros((3, 4, 5), np.float32)
    grid = Grid((3, 4, 5), (1.0, 1.0, 1.0), letters)
    volume = layer(data, None, {"napari_pgan": {"grid": grid.to_dict()}}, scale=scale, translate=translate).volume()
    assert volume.orientation == letters
    np.testing.assert_allclose(volume.spacing, scale)
    z, y, x = layer(data, None, {}, scale=scale, translate=translate).volume().affine[[2, 1, 0], 3]
    np.testing.assert_allclose((z, -y, -x), translate)  # axes S, P, L


def test_an_unchanged_layer_takes_the_affine_of_its_file(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    affine = np.array([[0, 2.0, 0, 5], [-3, 0, 0, 1], [0, 0, 4, 2], [0, 0, 0, 1]])
    write_volume(tmp_path / "x.nii.gz", Volume(array, affine))
    np.testing.assert_array_equal(layer(array, tmp_path / "x.nii.gz").volume().affine, affine)
    changed = layer(array + 1, tmp_path / "x.nii.gz").volume()
    np.testing.assert_array_equal(np.abs(np.diag(changed.affine)), 1)


def test_a_layer_that_is_not_a_volume_is_rejected() -> None:
    with pytest.raises(InputError, match="'x' is not a scalar volume"):
        layer(np.zeros((4, 5)))


def test_undeclared_values_get_a_name() -> None:
    assert [x.name for x in labels_of([1, 3], CHANNELS.labels)] == ["necrotic core", "label 3"]
