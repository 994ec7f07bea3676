"""One exam in memory: preprocessed, resampled to a model's grid, and back to the grids as acquired."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_series
from displaced import motion, move, template
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from small_cohort import write_subject

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.exam_files import find_exam, guess_part, unique_parts
from napari_pgan.imaging.io.volume import Volume, orient, read_volume, write_volume
from napari_pgan.imaging.preprocessing.exam import Exam, PreprocessedExam, preprocess_exam, read_exam
from napari_pgan.imaging.preprocessing.exam_grid import (
    centred_affine,
    choose_grid,
    patient_transforms,
    resample_to_grid,
    resample_to_patient,
)
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import SubjectSettings, prepare_subject
from napari_pgan.imaging.registration.quality import Limits
from napari_pgan.imaging.registration.resampling import resample_image
from napari_pgan.phantom import CHANNELS
from napari_pgan.schema import Grid

CENTRE = np.array([0.0, 17.0, 0.0])


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def _lesion(volume: Volume) -> np.ndarray:
    """Return two concentric spheres at a position in millimetres."""
    index = np.argwhere(np.ones(volume.array.shape, bool))[:, ::-1]
    points = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    away = np.linalg.norm(points - (30, 10, 20), axis=1).reshape(volume.array.shape)
    return np.where(away < 9, 4, np.where(away < 15, 2, 0)).astype(np.uint8)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return motion(np.random.default_rng(4), 10, 10, CENTRE)


@pytest.fixture(scope="module")
def folder(truth: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an exam with an oblique T1 and a displaced T2 with thick slices along other axes."""
    where = tmp_path_factory.mktemp("exam")
    brain = template()
    turned = motion(np.random.default_rng(9), 0, 12, CENTRE)
    t1 = brain["t1"]
    oblique = turned @ t1.affine
    write_volume(where / "t1.nii.gz", resample_image(t1, np.eye(4), t1.array.shape, oblique))
    moved = orient(move(brain["t2"], truth), "LIP")
    thick = moved.affine @ np.diag([1, 1, 2, 1])
    write_volume(where / "scan_t2.nii.gz", resample_image(moved, np.eye(4), (40, 78, 95), thick))
    return where


@pytest.fixture(scope="module")
def preprocessed(folder: Path) -> PreprocessedExam:
    found = {one.part: one for one in find_exam(folder) if one.part is not None}
    return preprocess_exam(read_exam(found), PreprocessingSteps(reference="t1", register=True))


def test_a_drawing_on_the_models_grid_matches_the_lesion_in_every_original_file(
    preprocessed: PreprocessedExam, truth: np.ndarray, folder: Path
) -> None:
    made = resample_to_grid(preprocessed, Grid((128, 128), (1.6, 1.6), "PL"))
    assert made.images["t2"].shape == made.grid.shape
    drawn = _lesion(Volume(made.images["t1"], made.affine))
    transforms = patient_transforms(preprocessed, made)
    for part, file, moved in (("t1", "t1.nii.gz", np.eye(4)), ("t2", "scan_t2.nii.gz", truth)):
        original = read_volume(folder / file)
        back = resample_to_patient(drawn, centred_affine(made.grid), transforms, part, labels=True)
        np.testing.assert_array_equal(back.affine, original.affine)
        assert back.array.shape == original.array.shape
        there = Volume(original.array, np.linalg.inv(moved) @ original.affine)
        wanted = _lesion(there)
        assert _dice(back.array > 0, wanted > 0) > 0.93
        assert _dice(back.array == 4, wanted == 4) > 0.9


def test_images_return_with_the_scanners_values(preprocessed: PreprocessedExam, folder: Path) -> None:
    made = resample_to_grid(preprocessed, Grid((160, 160), (1.25, 1.25), "PL"))
    transforms = patient_transforms(preprocessed, made)
    original = read_volume(folder / "t1.nii.gz")
    back = resample_to_patient(
        made.images["t1"], centred_affine(made.grid), transforms, "t1", labels=False, modality="t1"
    )
    inside = ndimage.binary_erosion(original.array > 0, iterations=2)
    away = np.abs(back.array - original.array)[inside]
    assert np.median(away) < 0.02 * np.percentile(original.array[inside], 99)


def test_registration_improves_the_match(preprocessed: PreprocessedExam, truth: np.ndarray) -> None:
    quality = preprocessed.quality["t2"]
    assert quality.after > quality.before
    assert quality.problem(Limits()) is None
    points = np.array([[0.0, 0, 0], [60, 0, 0], [0, -80, 0]])
    found = np.array(preprocessed.transforms["parts"]["t2"]["matrix"])
    assert np.linalg.norm(points @ (found - truth)[:3, :3].T + (found - truth)[:3, 3], axis=1).max() < 2.0
    assert preprocessed.before["t2"].same_grid(preprocessed.volumes["t1"])
    assert not np.array_equal(preprocessed.before["t2"].array, preprocessed.volumes["t2"].array)
    assert preprocessed.problems == ()


def test_an_exam_equals_the_subject_of_a_store(tmp_path: Path) -> None:
    files = write_subject(tmp_path, "Brats18_X_1")
    parts = {part: files / f"Brats18_X_1_{part}.nii.gz" for part in (*CHANNELS.modalities, "seg")}
    stored = prepare_subject(parts, CHANNELS, SubjectSettings(32, 224.0, "axial"))
    exam = read_exam({one.part: one for one in find_exam(files) if one.part})
    made = resample_to_grid(preprocess_exam(exam, PreprocessingSteps()), Grid((32, 32), (7.0, 7.0), "PL"))
    np.testing.assert_allclose(np.stack([made.images[m] for m in CHANNELS.modalities]), stored.images, atol=1e-6)
    np.testing.assert_array_equal(made.labels, stored.labels)
    np.testing.assert_allclose(made.affine, stored.attributes["affine"])
    assert made.grid.spacing == stored.spacing
    assert made.cut == pytest.approx(stored.attributes["cut"], abs=1e-6)


axes = st.permutations("SPL").flatmap(
    lambda letters: st.tuples(*[st.sampled_from([x, {"S": "I", "P": "A", "L": "R"}[x]]) for x in letters])
)


@settings(max_examples=20)
@given(axes, st.integers(0, 1000), st.booleans())
def test_labels_return_to_any_oblique_orientation(axes: tuple[str, ...], seed: int, volume_model: bool) -> None:
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in (30, 32, 28)], indexing="ij")
    head = (z / 13) ** 2 + (y / 14) ** 2 + (x / 12) ** 2 <= 1
    marked = np.where((z - 3) ** 2 + (y + 2) ** 2 + (x - 4) ** 2 < 16, 3, 0).astype(np.uint8)
    affine = motion(random, 20, 15, np.zeros(3)) @ np.diag([-4.0, -4.0, 5.0, 1.0])
    given_axes = "".join(axes)
    image = orient(
        Volume(np.where(head, 300 + random.normal(0, 20, head.shape), 0).astype(np.float32), affine), given_axes
    )
    seg = orient(Volume(marked, affine), given_axes)
    preprocessed = preprocess_exam(Exam({"flair": image, "seg": seg}), PreprocessingSteps())
    grid = Grid((48, 64, 64), (4.0, 3.0, 3.0), "SPL") if volume_model else Grid((64, 64), (3.0, 3.0), "PL")
    made = resample_to_grid(preprocessed, grid)
    assert made.labels is not None
    assert made.cut == 0
    back = resample_to_patient(
        made.labels, centred_affine(made.grid), patient_transforms(preprocessed, made), "seg", labels=True
    )
    assert back.array.shape == seg.array.shape
    np.testing.assert_array_equal(back.affine, seg.affine)
    assert set(np.unique(back.array)) == {0, 3}
    assert _dice(back.array > 0, seg.array > 0) > 0.8


def test_the_cut_share_of_a_head_is_reported(preprocessed: PreprocessedExam) -> None:
    assert resample_to_grid(preprocessed, choose_grid(preprocessed, 64, None, "sagittal")).cut == 0
    assert 0.05 < resample_to_grid(preprocessed, choose_grid(preprocessed, 64, 120.0, "axial")).cut < 0.9


def test_without_normalising_the_scanners_values_are_kept(preprocessed: PreprocessedExam) -> None:
    made = resample_to_grid(preprocessed, choose_grid(preprocessed, 64, None, "coronal"), normalise=False)
    assert made.grid.orientation == "PIL"
    assert made.scalings == {}
    assert made.images["t1"].max() > 50


def test_invalid_exams_are_refused(preprocessed: PreprocessedExam) -> None:
    t1 = preprocessed.volumes["t1"]
    smaller = Volume(t1.array[1:], t1.affine)
    for parts, steps, fact in [
        ({}, PreprocessingSteps(), "has no image"),
        ({"seg": t1}, PreprocessingSteps(reference="t1", register=True), "has no image"),
        ({"t1": t1}, PreprocessingSteps(reference="t2"), "has no t2"),
        ({"t1": t1, "t2": smaller}, PreprocessingSteps(), "t2 is on another grid than t1; tick Register"),
        ({"t1": Volume(t1.array * 0, t1.affine)}, PreprocessingSteps(), "t1 is constant"),
        (
            {"t1": t1, "seg": Volume(t1.array + 0.5, t1.affine)},
            PreprocessingSteps(reference="t1", register=True),
            "fractions",
        ),
    ]:
        with pytest.raises(InputError, match=fact):
            preprocess_exam(Exam(parts), steps)
    with pytest.raises(InputError, match="no spacing"):
        resample_to_grid(preprocessed, Grid((64, 64)))
    made = resample_to_grid(preprocessed, choose_grid(preprocessed, 32, None, "axial"))
    with pytest.raises(InputError, match="no flair; choose"):
        resample_to_patient(
            made.images["t1"], centred_affine(made.grid), patient_transforms(preprocessed, made), "flair", labels=True
        )


def test_a_failed_registration_is_kept_and_reported() -> None:
    random = np.random.default_rng(0)
    brain = template()["t1"]
    t1 = Volume(brain.array[::3, ::3, ::3], brain.affine @ np.diag([3.0, 3, 3, 1]))
    noise = Volume(random.normal(50, 10, (20, 24, 24)).astype(np.float32), t1.affine)
    made = preprocess_exam(Exam({"t1": t1, "t2": noise}), PreprocessingSteps(reference="t1", register=True))
    (problem,) = made.problems
    assert problem.startswith("t2 could not be registered")
    assert made.volumes["t2"].same_grid(t1)
    assert "t2" in made.quality


def test_a_callback_can_stop_preprocessing(preprocessed: PreprocessedExam) -> None:
    class Cancelled(Exception):
        pass

    calls = []

    def progress(what: str, done: int, tasks: int) -> None:
        calls.append((what, done, tasks))
        raise Cancelled

    with pytest.raises(Cancelled):
        preprocess_exam(
            Exam({"t1": preprocessed.volumes["t1"]}),
            PreprocessingSteps(reference="t1", register=True, bias=True, strip=True),
            progress,
        )
    assert calls == [("Correcting the bias field of t1", 0, 1)]  # it has no skull, so no brain is searched for


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("t1c", "t1ce"), ("T1 post Gd", "t1ce"), ("Brats18_2013_3_1_t1ce.nii.gz", "t1ce"), ("t2 [1]", "t2"),
        ("BraTS-GLI-00000-000-t1n.nii.gz", "t1"), ("sub-01_ce-gadolinium_T1w.nii.gz", "t1ce"), ("blob", None),
        ("sub-01_FLAIR.nii.gz", "flair"), ("phantom segmentation", "seg"), ("a.seg.nrrd", "seg"), ("AX PD", "pd"),
        ("sub-01_desc-brain_mask.nii.gz", "brain"), ("t1_brainmask", "brain"), ("mask of the brain", "brain"),
        ("t1_brain.nii.gz", "t1"), ("lesion mask", "seg"),
    ],
)  # fmt: skip
def test_parts_are_guessed_from_names(name: str, part: str | None) -> None:
    assert guess_part(name) == part


def test_a_modality_is_guessed_once() -> None:
    assert unique_parts(["t1", None, "t1", "seg"]) == ["t1", None, None, "seg"]


def test_exams_are_found_in_any_format(tmp_path: Path) -> None:
    write_subject(tmp_path, "Brats18_X_1", t2=None)
    (tmp_path / "notes.txt").write_text("nothing")
    found = {one.part for one in find_exam(tmp_path)}
    assert found == {"t1", "t1ce", "flair", "seg"}
    assert find_exam(tmp_path / "Brats18_X_1" / "Brats18_X_1_t1.nii.gz")[0].part == "t1"
    array = np.arange(5 * 8 * 8, dtype=np.int16).reshape(5, 8, 8)
    write_series(tmp_path / "dicom", array, np.diag([2.0, 2, 3, 1]), description="T2 TSE tra")
    (series,) = find_exam(tmp_path / "dicom")
    assert (series.part, series.name) == ("t2", "T2 TSE tra")
    np.testing.assert_array_equal(orient(read_exam({"t2": series}).volumes["t2"], "SAR").array, array)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no volume"):
        find_exam(tmp_path / "empty")
    with pytest.raises(InputError, match="does not exist"):
        find_exam(tmp_path / "nowhere")
