"""A given brain mask takes precedence over an estimated one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_cohort import AFFINE, SHAPE, arrays, write

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.discover import find_cohort
from napari_pgan.imaging.cohorts.exam_files import ExamVolume
from napari_pgan.imaging.cohorts.plan import CohortPlan
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.imaging.preprocessing.exam import preprocess_exam, read_exam
from napari_pgan.imaging.preprocessing.exam_grid import choose_grid
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.registration.pictures import LINE
from napari_pgan.store import SplitRule, open_store

RULE = SplitRule.parse("train=1,val=0,test=0")
PLAN = CohortPlan(
    modalities={"t1": "{subject}_t1.nii.gz", "t2": "{subject}_t2.nii.gz"},
    segmentation="{subject}_seg.nii.gz",
    brain_mask="{subject}_mask.nii.gz",
)


def _brain() -> np.ndarray:
    """Return an ellipsoid within that of `arrays`: (x, y, z)."""
    x, y, z = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij")
    return ((x / 14) ** 2 + (y / 16) ** 2 + (z / 6) ** 2 <= 1).astype(np.uint8)


def _subject(folder: Path, mask: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    for part in ("t1", "t2", "seg"):
        write(folder / f"a_{part}.nii.gz", arrays()[part])
    write(folder / "a_mask.nii.gz", mask, affine)
    return folder


def test_the_brain_mask_of_a_plan_is_used(tmp_path: Path) -> None:
    options = Options(size=32, plan=PLAN, folder=tmp_path / "quality")
    report = prepare(str(_subject(tmp_path / "in", _brain())), tmp_path / "a.zarr", options)
    assert not report.rejected
    ((key, about),) = report.subjects.items()
    with Image.open(tmp_path / "quality" / key / "brain.png") as picture:
        assert (np.asarray(picture) == LINE).all(axis=-1).any()
    assert "the subject&#x27;s own mask" in (tmp_path / "quality" / "quality.html").read_text(encoding="utf-8")
    litres = float(_brain().sum() * np.abs(np.linalg.det(AFFINE))) / 1e6
    assert about["brain_mask"] == {"given": True, "millilitres": pytest.approx(1000 * litres)}
    store = open_store(tmp_path / "a.zarr")
    assert {entry["stripped"] for entry in about["normalisation"].values()} == {True}
    visible = (store.load_slices(None).images > -0.999).any(axis=1)
    pixel = float(np.prod(about["spacing"])) / 1e6
    chosen = _brain()[:, :, list(about["slices"])].sum() * np.abs(np.linalg.det(AFFINE)) / 1e6
    assert visible.sum() * pixel == pytest.approx(chosen, rel=0.12)  # the head alone is half as large again


def test_the_field_of_view_holds_the_brain_in_stores_and_exams(tmp_path: Path) -> None:
    """A brain of 136 mm with margin needs 144 mm; the head of 168 mm would need 176 mm."""
    source = _subject(tmp_path / "in", _brain())
    report = prepare(str(source), tmp_path / "a.zarr", Options(size=16, plan=PLAN))
    assert not report.rejected
    grid = open_store(tmp_path / "a.zarr").grid
    parts = {part: ExamVolume(part, source / f"a_{part}.nii.gz", part) for part in ("t1", "t2", "seg")}
    parts["brain"] = ExamVolume("brain", source / "a_mask.nii.gz", "brain")
    preprocessed = preprocess_exam(read_exam(parts), PreprocessingSteps(reference="t1"))
    assert grid.spacing == (9.0, 9.0) == choose_grid(preprocessed, 16, None, "axial").spacing


def test_an_empty_mask_rejects_the_subject(tmp_path: Path) -> None:
    source = _subject(tmp_path / "in", np.zeros(SHAPE, np.uint8))
    report = prepare(str(source), tmp_path / "a.zarr", Options(size=32, plan=PLAN))
    assert [rejected.reason for rejected in report.rejected] == ["its brain mask is empty"]


def test_a_mask_on_another_grid_needs_registration(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 10
    source = _subject(tmp_path / "in", _brain(), moved)
    with pytest.raises(InputError, match=r"its brain mask not on that of t1[)]; give --register"):
        prepare(str(source), tmp_path / "a.zarr", Options(size=32, plan=PLAN))


@pytest.mark.slow
def test_brain_masks_in_bids_derivatives_are_used(tmp_path: Path) -> None:
    given = arrays()
    for i in (1, 2):
        where = tmp_path / f"sub-0{i}" / "anat"
        write(where / f"sub-0{i}_T1w.nii.gz", given["t1"])
        write(where / f"sub-0{i}_T2w.nii.gz", given["t2"])
    derived = tmp_path / "derivatives" / "tool" / "sub-01" / "anat"
    write(derived / "sub-01_desc-brain_mask.nii.gz", _brain())
    write(derived / "sub-01_space-MNI152_desc-brain_mask.nii.gz", _brain())  # in another space, so not used
    write(derived / "sub-01_label-GM_mask.nii.gz", _brain())
    cohort = find_cohort(tmp_path)
    first, second = cohort.subjects
    assert first.problem is None
    assert first.files["brain"] == derived / "sub-01_desc-brain_mask.nii.gz"
    assert second.problem is None  # a brain mask is optional
    assert cohort.content.modalities == ("t1", "t2")
    assert cohort.content.labels == ()
    report = prepare(str(tmp_path), tmp_path / "b.zarr", Options(size=32, split=RULE, strip=True, reference="t2"))
    assert [rejected.name for rejected in report.rejected] == ["sub-02"]  # an ellipsoid of noise holds no brain
    assert "no brain was found" in report.rejected[0].reason or "nor in any" in report.rejected[0].reason


def test_contradictory_plans_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="'brain' is the name of the brain mask"):
        CohortPlan(modalities={"brain": "{subject}.nii.gz"})
    with pytest.raises(InputError, match="--register or --atlas"):
        Options(labels="gaussian")
    with pytest.raises(InputError, match="--labels 'soft' is unknown; give nearest or gaussian"):
        Options(labels="soft", register=True)
