"""A preprocessed exam equals, voxel by voxel, the subject that a store would hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_pgan.imaging.cohorts.exam_files import ExamVolume
from napari_pgan.imaging.io.volume import Volume, write_volume
from napari_pgan.imaging.preprocessing.exam import preprocess_exam, read_exam
from napari_pgan.imaging.preprocessing.exam_grid import resample_to_grid
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import PreparedSubject, SubjectSettings, prepare_subject
from napari_pgan.imaging.registration.resampling import resample_image, resample_labels
from napari_pgan.phantom import CHANNELS, make_subject
from napari_pgan.schema import Channels, Grid

PREPARED = Channels(("t1", "t2"), CHANNELS.labels)
SIZE, FIELD = 48, 240.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a head with skull: a displaced T2 with thick slices and a segmentation, T1 with a brain mask."""
    where = tmp_path_factory.mktemp("head")
    subject = make_subject(3, 64, skull=True)
    affine = subject.grid.affine()
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_euler("xyz", (6, -5, 9), degrees=True).as_matrix()
    moved[:3, 3] = 7, -6, 5
    shape, thick = (32, 64, 64), affine @ np.diag([1.0, 1.0, 2.0, 1.0])
    t1, t2 = (Volume(np.asarray(subject.images[part], np.float32), affine) for part in ("t1", "t2"))
    made = {
        "t1": t1,
        "t2": resample_image(t2, moved, shape, thick),
        "seg": resample_labels(Volume(subject.labels, affine), moved, shape, thick),
        "brain": Volume(subject.brain.astype(np.uint8), affine),
    }
    for part, volume in made.items():
        write_volume(where / f"{part}.nii.gz", volume)
    return {part: where / f"{part}.nii.gz" for part in made}


def _compare(
    files: Mapping[str, Path], steps: PreprocessingSteps, atlas: str | None, axis: str = "axial"
) -> PreparedSubject:
    """Prepare a subject and an exam, compare them, and return the subject."""
    stored = prepare_subject(
        files, PREPARED, SubjectSettings(SIZE, FIELD, axis, may_cut=True, steps=steps, atlas=atlas)
    )
    exam = read_exam({part: ExamVolume(part, file, part) for part, file in files.items()}, atlas=atlas)
    preprocessed = preprocess_exam(exam, steps)
    assert preprocessed.problems == ()
    made = resample_to_grid(
        preprocessed, Grid((SIZE, SIZE), (FIELD / SIZE,) * 2, {"axial": "PL", "coronal": "IL"}[axis])
    )
    assert made.labels is not None
    near = 1e-6 if axis == "axial" else 0.05  # registration of a reoriented volume sums in another order
    np.testing.assert_allclose(np.stack([made.images[m] for m in PREPARED.modalities]), stored.images, atol=near)
    assert np.mean(made.labels != stored.labels) <= (0 if axis == "axial" else 5e-4)
    np.testing.assert_allclose(made.affine, stored.attributes["affine"], atol=1e-6)
    assert made.grid.spacing == pytest.approx(stored.spacing)
    assert made.cut == pytest.approx(stored.attributes["cut"], abs=1e-6)
    scalings = {part: about.to_dict() for part, about in made.scalings.items()}
    if axis == "axial":
        assert scalings == stored.attributes["normalisation"]
        assert (
            preprocessed.transforms["parts"]["t2"]["matrix"]
            == stored.attributes["registration"]["parts"]["t2"]["matrix"]
        )
    return stored


@pytest.mark.parametrize("axis", ["axial", pytest.param("coronal", marks=pytest.mark.slow)])
def test_registered_within_its_own_brain_mask_and_with_smooth_labels(files: dict[str, Path], axis: str) -> None:
    steps = PreprocessingSteps(reference="t1", register=True, strip=True, labels="gaussian")
    stored = _compare(files, steps, None, axis)
    assert stored.attributes["brain_mask"]["given"]
    assert {about["stripped"] for about in stored.attributes["normalisation"].values()} == {True}


@pytest.mark.slow
def test_with_a_segmented_brain_and_an_atlas(files: dict[str, Path]) -> None:
    without = {part: file for part, file in files.items() if part != "brain"}
    steps = PreprocessingSteps(reference="t1", strip=True, atlas="template")
    stored = _compare(without, steps, "template")
    assert not stored.attributes["brain_mask"]["given"]
    assert stored.attributes["registration"]["atlas"]["identity"] == "template"
