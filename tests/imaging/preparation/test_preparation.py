"""Preparation of a cohort: by subject, anonymous, and resumable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from small_cohort import AFFINE, arrays, write, write_cohort, write_subject

from napari_pgan.errors import InputError
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.imaging.preprocessing.subject import SubjectSettings, prepare_subject
from napari_pgan.schema import Channels, Label
from napari_pgan.store import SplitRule, open_store, subject_key

CHANNELS = Channels(
    ("t1", "t1ce", "t2", "flair"),
    (Label(1, "necrotic core", "#4daf4a"), Label(2, "oedema", "#ffd92f"), Label(4, "enhancing tumour", "#e41a1c")),
)
SMALL = Options(size=16)


def _files(folder: Path) -> dict[str, Path]:
    return {path.name.rpartition("_")[2].split(".")[0]: path for path in folder.iterdir()}


def _bytes(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    return write_cohort(tmp_path / "cohort", 5)


def test_an_automatic_field_of_view_rejects_no_subject_for_another_modality(tmp_path: Path) -> None:
    """The head in T1 has 168 mm, which gives a field of view of 176 mm; FLAIR shows 192 mm."""
    flair = arrays()["flair"]
    flair[21:24, 1:49, 8:11] = 400
    write_subject(tmp_path / "cohort", "Brats18_X_1", flair=flair)
    report = prepare(str(tmp_path / "cohort"), tmp_path / "a.zarr", SMALL)
    assert not report.rejected
    ((_, about),) = report.subjects.items()
    assert 0 < about["cut"] < 0.01
    assert "crops up to" in "\n".join(report.lines())


def test_a_cohort_is_prepared_into_a_store(cohort: Path, tmp_path: Path) -> None:
    report = prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    store = open_store(tmp_path / "a.zarr")
    assert store.counts() == {"train": 3, "val": 1, "test": 1}
    assert store.name == "a"
    assert store.channels == CHANNELS
    assert store.grid.shape == (16, 16)
    assert store.grid.spacing == (11.0, 11.0)  # a head of 168 mm and its margin need 176 mm
    assert (store.grid.orientation, store.grid.slice_spacing) == ("PL", 6.0)
    assert not report.rejected
    assert report.to_dict(with_names=False)["slices"] == len(store.load_slices(None))
    for key in store.keys(None):
        subject = store.subject(key)
        assert subject.attributes["orientation"] == "SPL"
        assert subject.attributes["spacing"] == [6.0, 11.0, 11.0]
        assert set(subject.attributes["normalisation"]) == set(CHANNELS.modalities)
        assert subject.attributes["cut"] == 0
        images = subject.images[:]
        assert -1 <= images.min() < images.max() <= 1


def test_slices_have_at_least_a_quarter_of_the_largest_area(tmp_path: Path) -> None:
    made = prepare_subject(_files(write_subject(tmp_path, "a")), CHANNELS, SubjectSettings(16, 176, "axial"))
    head = (arrays()["t1"] != 0).sum((0, 1))
    assert made.slices == tuple(np.flatnonzero(head >= head.max() / 4))
    assert made.brain_slices == (np.flatnonzero(head)[0], np.flatnonzero(head)[-1])


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_brain_volume_and_contrast_are_preserved_along_each_axis(tmp_path: Path, axis: str) -> None:
    found = arrays()
    made = prepare_subject(_files(write_subject(tmp_path, "a")), CHANNELS, SubjectSettings(32, 192, axis))
    voxel = np.prod(made.spacing)
    for value in (1, 2, 4):
        assert (made.labels == value).sum() * voxel == pytest.approx((found["seg"] == value).sum() * 96, rel=0.25)
    flair, t1ce = made.images[3], made.images[1]
    normal = (made.labels == 0) & (flair > -0.5)
    assert np.median(flair[made.labels == 2]) > np.median(flair[normal]) + 0.3
    assert np.median(t1ce[made.labels == 4]) > np.median(t1ce[normal]) + 0.3


def test_the_stored_grid_preserves_patient_coordinates(tmp_path: Path) -> None:
    """The lesion's centre of mass in mm is unchanged on each axis."""
    found = arrays()["seg"]
    before = AFFINE @ [*np.argwhere(found > 0).mean(axis=0), 1]
    files = _files(write_subject(tmp_path, "a"))
    for axis in ("axial", "coronal", "sagittal"):
        made = prepare_subject(files, CHANNELS, SubjectSettings(64, 192, axis))
        affine = np.array(made.attributes["affine"])
        after = affine @ [*np.argwhere(made.labels.T > 0).mean(axis=0), 1]
        np.testing.assert_allclose(after, before, atol=1)
        np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), made.spacing[::-1])


def test_the_axis_order_of_files_does_not_matter(tmp_path: Path) -> None:
    frame = SubjectSettings(16, 192, "axial")
    expected = prepare_subject(_files(write_subject(tmp_path, "a")), CHANNELS, frame)
    for part, path in _files(tmp_path / "a").items():
        image = nib.load(path)
        turned = nib.orientations.axcodes2ornt(("S", "A", "L"))
        change = nib.orientations.ornt_transform(nib.io_orientation(image.affine), turned)
        nib.save(image.as_reoriented(change), tmp_path / f"b_{part}.nii.gz")
    made = prepare_subject({part: tmp_path / f"b_{part}.nii.gz" for part in arrays()}, CHANNELS, frame)
    np.testing.assert_allclose(made.images, expected.images, atol=1e-5)
    np.testing.assert_array_equal(made.labels, expected.labels)
    assert made.slices == expected.slices


def test_the_store_contains_no_names(cohort: Path, tmp_path: Path) -> None:
    write_subject(cohort, "Brats18_CBICA_broken_1", t2=None)
    write_subject(cohort, "Brats18_CBICA_empty_1", seg=np.zeros_like(arrays()["seg"]))
    (cohort / "Brats18_CBICA_P003_1" / "Brats18_CBICA_P003_1_t1.nii.gz").write_bytes(b"\x1f\x8b")
    report = prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    assert {a.name for a in report.rejected} == {
        "Brats18_CBICA_broken_1",
        "Brats18_CBICA_empty_1",
        "Brats18_CBICA_P003_1",
    }
    content = _bytes(tmp_path / "a.zarr")
    for path, data in content.items():
        for word in ("CBICA", "Brats18", str(cohort), os.environ["NAPARI_PGAN_SALT"]):
            assert word.encode() not in data, path
            assert word not in path
    kept = open_store(tmp_path / "a.zarr").attributes["report"]["set_aside"]
    assert {a["key"] for a in kept} == {subject_key(a.name, b"a salt for tests") for a in report.rejected}
    assert sorted(a["reason"] for a in kept) == [
        "its segmentation is empty; nothing is marked in it",
        "t1 is truncated or damaged; fetch it again",
        "t2 is missing",
    ]


def test_repeating_a_preparation_does_nothing(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    before = _bytes(tmp_path / "a.zarr")

    def never(*_: object) -> None:
        raise AssertionError("a finished subject was prepared again")

    monkeypatch.setattr("napari_pgan.imaging.preparation.prepare.prepare_subject", never)
    again = prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    after = _bytes(tmp_path / "a.zarr")
    assert (first.new, again.new) == (5, 0)
    assert {k: v for k, v in after.items() if k != "zarr.json"} == {k: v for k, v in before.items() if k != "zarr.json"}


def test_new_subjects_are_added_and_splits_stay(cohort: Path, tmp_path: Path) -> None:
    prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    before = open_store(tmp_path / "a.zarr")
    for i in range(10, 17):
        write_subject(cohort, f"P{i}", i)
    report = prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    after = open_store(tmp_path / "a.zarr")
    assert report.new == 7
    assert sum(after.counts().values()) == 12
    for split in ("train", "val", "test"):
        assert set(before.keys(split)) <= set(after.keys(split))


def test_a_split_rule_may_change_if_all_subjects_stay(cohort: Path, tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    prepare(str(cohort), store, replace(SMALL, split=SplitRule.parse("train=4,val=1,test=0")))
    before = open_store(store)
    for i in range(10, 13):
        write_subject(cohort, f"P{i}", i)
    for other in ("train=3,val=2,test=3", "0.5,0.25,0.25"):  # no place for the fourth; no counts
        with pytest.raises(InputError, match="subjects keep their split"):
            prepare(str(cohort), store, replace(SMALL, split=SplitRule.parse(other)))
    assert len(open_store(store).keys()) == 5  # refused before anything was done
    prepare(str(cohort), store, replace(SMALL, split=SplitRule.parse("train=4,val=1,test=3")))
    after = open_store(store)
    assert after.counts() == {"train": 4, "val": 1, "test": 3}
    assert (after.keys("train"), after.keys("val")) == (before.keys("train"), before.keys("val"))


_KILLED_WITHIN_A_SUBJECT = """
import os, sys
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.store import writer
write, written = writer._write_array, []
def dying(*arguments, **named):
    if len(written) == 5:  # the images of the third subject are there, its labels are not
        os._exit(9)
    written.append(1)
    write(*arguments, **named)
writer._write_array = dying
prepare(sys.argv[1], sys.argv[2], Options(size=16))
"""


def test_a_killed_run_is_continued(cohort: Path, tmp_path: Path) -> None:
    prepare(str(cohort), tmp_path / "whole.zarr", Options(size=16, name="x"))
    code = _KILLED_WITHIN_A_SUBJECT.replace("size=16", "size=16, name='x'")
    done = subprocess.run([sys.executable, "-c", code, cohort, tmp_path / "a.zarr"], check=False, timeout=120)
    assert done.returncode == 9
    assert len([p for p in (tmp_path / "a.zarr").iterdir() if p.is_dir()]) == 3
    with pytest.raises(InputError, match="prepare` again"):
        open_store(tmp_path / "a.zarr")
    report = prepare(str(cohort), tmp_path / "a.zarr", Options(size=16, name="x"))
    assert report.new == 3
    assert open_store(tmp_path / "a.zarr").fingerprint == open_store(tmp_path / "whole.zarr").fingerprint


def test_several_processes_produce_the_same_store(cohort: Path, tmp_path: Path) -> None:
    write_subject(cohort, "bad", t1=np.zeros_like(arrays()["t1"]))
    seen = []
    one = prepare(str(cohort), tmp_path / "one.zarr", SMALL)
    two = prepare(
        str(cohort), tmp_path / "two.zarr", SMALL, 2, lambda what, done, total: seen.append((what, done, total))
    )
    assert open_store(tmp_path / "one.zarr").fingerprint == open_store(tmp_path / "two.zarr").fingerprint
    assert one.rejected == two.rejected
    assert len(two.rejected) == 1
    assert seen[0] == ("survey", 0, 6)
    assert seen[-1] == ("subjects", 6, 6)


def test_other_settings_are_rejected(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "a.zarr"
    prepare(str(cohort), address, SMALL)
    before = _bytes(address)
    for options, words in (
        (Options(size=32), "--size 16, not 32"),
        (Options(size=16, axis="coronal"), "--axis axial, not coronal"),
        (Options(size=16, field_of_view=200), "--fov 176.0, not 200"),
        (Options(size=16, register=True), "was prepared without --register; give a new store"),
        (Options(size=16, atlas="template"), "was prepared without --atlas; give a new store"),
        (Options(size=16, name="other"), "--name a, not other"),
    ):
        with pytest.raises(InputError, match=words):
            prepare(str(cohort), address, options)
    monkeypatch.setenv("NAPARI_PGAN_SALT", "another")
    with pytest.raises(InputError, match="another secret salt"):
        prepare(str(cohort), address, SMALL)
    assert _bytes(address) == before


def test_a_store_in_memory_is_prepared(cohort: Path) -> None:
    address = f"memory://{uuid.uuid4().hex}/a.zarr"
    prepare(str(cohort), address, SMALL)
    assert sum(open_store(address).counts().values()) == 5


def test_a_given_field_of_view_may_crop_and_is_reported(cohort: Path, tmp_path: Path) -> None:
    report = prepare(str(cohort), tmp_path / "a.zarr", Options(size=16, field_of_view=128))
    assert not report.rejected
    assert report.to_dict(with_names=False)["cut"] > 0.05
    assert any("crops up to" in line for line in report.lines())


def test_a_head_larger_than_the_field_of_view_is_rejected(cohort: Path, tmp_path: Path) -> None:
    prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    large = AFFINE @ np.diag([1.2, 1.2, 1.2, 1])
    for part, array in arrays().items():
        write(cohort / "large" / f"large_{part}.nii.gz", array, large)
    (aside,) = prepare(str(cohort), tmp_path / "a.zarr", SMALL).rejected
    assert aside.reason.startswith("its head is 202 mm long, more than the store's field of view of 176 mm")


def _seg(value: float, dtype: type = np.uint8) -> np.ndarray:
    segmentation = arrays()["seg"].astype(dtype)
    segmentation[20, 20, 9] = value
    return segmentation


def _with(part: str, value: float) -> np.ndarray:
    image = arrays()[part].astype(np.float32)
    image[20, 20, 9] = value
    return image


DAMAGED: dict[str, tuple[Callable[[], dict[str, np.ndarray | None]], str]] = {
    "a missing modality": (lambda: {"t2": None}, "t2 is missing"),
    "no segmentation": (lambda: {"seg": None}, "the segmentation is missing"),
    "another grid": (
        lambda: {"flair": arrays()["flair"][:, :, 1:]},
        "its volumes lie on different grids (flair not on",
    ),
    "nan": (lambda: {"t1": _with("t1", np.nan)}, "t1 contains NaN or Inf in 1 voxels"),
    "inf": (lambda: {"t1ce": _with("t1ce", np.inf)}, "t1ce contains NaN or Inf in 1 voxels"),
    "an empty mask": (lambda: {"seg": np.zeros_like(arrays()["seg"])}, "its segmentation is empty"),
    "an undeclared label": (lambda: {"seg": _seg(7)}, "its segmentation contains the value 7, which no label has"),
    "a negative label": (lambda: {"seg": _seg(-1, np.int16)}, "its segmentation contains the value -1"),
    "a fraction": (lambda: {"seg": _seg(0.5, np.float32)}, "its segmentation contains fractions"),
    "an empty image": (lambda: {"t2": np.zeros_like(arrays()["t2"])}, "t2 is constant (0 everywhere)"),
    "a constant image": (lambda: {"t2": np.full_like(arrays()["t2"], 9)}, "t2 is constant (9 everywhere)"),
    "four axes": (lambda: {"t2": np.stack([arrays()["t2"]] * 2, -1)}, "t2 is 44 x 50 x 18 x 2 with 4 axes"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_subject_is_rejected_and_the_others_continue(cohort: Path, tmp_path: Path, damage: str) -> None:
    change, reason = DAMAGED[damage]
    shutil.rmtree(cohort / "Brats18_CBICA_P004_1")
    write_subject(cohort, "damaged", **change())
    report = prepare(str(cohort), tmp_path / "a.zarr", SMALL)
    (aside,) = report.rejected
    assert aside.name == "damaged"
    assert aside.reason.startswith(reason)
    assert f"  damaged: {aside.reason}" in report.lines()
    assert sum(open_store(tmp_path / "a.zarr").counts().values()) == 4


def test_float_rounding_of_labels_is_tolerated(cohort: Path, tmp_path: Path) -> None:
    write_subject(cohort, "floats", seg=arrays()["seg"].astype(np.float32))
    assert not prepare(str(cohort), tmp_path / "a.zarr", SMALL).rejected


def test_a_cohort_with_enhancing_label_three(tmp_path: Path) -> None:
    segmentation = arrays()["seg"]
    segmentation[segmentation == 4] = 3
    for i in range(3):
        write_subject(tmp_path / "cohort", f"a{i}", i, seg=segmentation)
    write_subject(tmp_path / "cohort", "b")
    (aside,) = prepare(str(tmp_path / "cohort"), tmp_path / "a.zarr", SMALL).rejected
    assert aside.name == "b"
    assert aside.reason == "its segmentation contains the value 4, which no label has; declared are 1, 2, 3"
    store = open_store(tmp_path / "a.zarr")
    assert store.channels.label("enhancing tumour").value == 3
    assert store.load_slices(None).labels[:, 2].sum() > 0


def test_without_usable_subjects_no_store_is_created(tmp_path: Path) -> None:
    write_subject(tmp_path / "cohort", "a", t1=None)
    write_subject(tmp_path / "cohort", "b", seg=np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(InputError, match=r"none of the 2 subjects can be used; a: t1 is missing"):
        prepare(str(tmp_path / "cohort"), tmp_path / "a.zarr", SMALL)
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize(
    "options", [{"size": 7}, {"size": 30}, {"size": 4}, {"field_of_view": -1}, {"axis": "oblique"}]
)
def test_invalid_options_are_rejected(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="--"):
        Options(**options)  # type: ignore[arg-type]


def test_real_subjects(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "cohort"
    source.mkdir()
    for name in ("Brats18_TCIA10_637_1", "Brats18_TCIA10_639_1", "Brats18_CBICA_ABM_1", "Brats18_2013_3_1"):
        (source / name).symlink_to(shared_data / "brats18" / name)
    report = prepare(str(source), tmp_path / "a.zarr", Options(size=64, split=SplitRule.parse("train=2,val=1,test=1")))
    assert not report.rejected
    store = open_store(tmp_path / "a.zarr")
    assert store.counts() == {"train": 2, "val": 1, "test": 1}
    slices = store.load_slices(None)
    brain = slices.images > -0.999
    assert 0.2 < brain.mean() < 0.6
    assert slices.labels.sum(axis=(0, 2, 3)).min() > 100
    for i in range(4):
        own = slices.images[slices.subject == i]
        assert -0.8 < np.median(own[own > -0.999]) < 0.5
    oedema, enhancing, core = (slices.labels[:, k] == 1 for k in (1, 2, 0))
    whole = slices.labels.sum(axis=1) > 0
    assert slices.images[:, 3][oedema].mean() > slices.images[:, 3][brain[:, 3] & ~whole].mean() + 0.2
    assert slices.images[:, 1][enhancing].mean() > slices.images[:, 1][core].mean() + 0.2


def test_preparation_imports_neither_napari_nor_torch() -> None:
    code = "import sys, napari_pgan.imaging.preparation.prepare\n"
    code += "print(*{'torch', 'napari', 'SimpleITK'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == ""
