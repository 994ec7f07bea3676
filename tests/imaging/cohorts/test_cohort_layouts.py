"""Cohorts are found in BIDS, in DICOM, as photographs beside masks, and by a plan."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
import pytest
from dicom_files import DATE, NUMBER, PATIENT, write_series
from hypothesis import given
from hypothesis import strategies as st
from small_cohort import AFFINE, arrays

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts import bids, photo_folders
from napari_pgan.imaging.cohorts.cohort import duplicate_problem
from napari_pgan.imaging.cohorts.dicom_tree import modality_of
from napari_pgan.imaging.cohorts.discover import find_cohort
from napari_pgan.imaging.cohorts.plan import CohortPlan, read_plan
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.store import SplitRule, open_store

PLAN = """
modalities:
  t1: "{subject}/{session}/T1.nii.gz"
  flair: "{subject}/{session}/*FLAIR*.nii.gz"
segmentation: "masks/{subject}_{session}.nii.gz"
labels: {1: core, 2: {name: oedema, color: "#ffd92f"}}
ignore: [4]
reference: flair
grid: {size: 16, axis: coronal}
sided: true
"""


def _paths(*names: str) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in names]


def test_bids(tmp_path: Path) -> None:
    parts = ("T1w", "ce-gadolinium_T1w", "T2w", "FLAIR")
    cohort = bids.find(tmp_path, _paths(
        "dataset_description.json",
        *(f"sub-{s}/anat/sub-{s}_{part}.nii.gz" for s in ("01", "02", "03") for part in parts),
        "sub-02/anat/sub-02_run-2_T2w.nii.gz",
        "sub-04/ses-a/anat/sub-04_ses-a_T1w.nii.gz",
        "sub-01/dwi/sub-01_dwi.nii.gz",
        *(f"derivatives/masks/sub-{s}/anat/sub-{s}_label-lesion_mask.nii.gz" for s in ("01", "02", "03")),
        "derivatives/masks/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
    ))  # fmt: skip
    assert cohort is not None
    assert cohort.content.modalities == ("t1", "t1ce", "t2", "flair")
    assert {s.name: s.problem for s in cohort.subjects} == {
        "sub-01": None,
        "sub-02": duplicate_problem(["t2"]),
        "sub-03": None,
        "sub-04 ses-a": "t1ce, t2, flair and the segmentation are missing",
    }
    assert cohort.subjects[3].person == "sub-04"
    assert cohort.subjects[0].files["seg"] == tmp_path / "derivatives/masks/sub-01/anat/sub-01_label-lesion_mask.nii.gz"


@pytest.mark.parametrize(
    ("description", "contrast", "modality"),
    [
        ("T1 AX", False, "t1"), ("AX T1 POST GAD", False, "t1ce"), ("T1_MPRAGE_+C", False, "t1ce"),
        ("MPRAGE", False, "t1"),
        ("t1_tse_tra_KM", False, "t1ce"), ("Ax T1 FLAIR", False, "t1"), ("AX T2 FLAIR", False, "flair"),
        ("t2_tirm_tra_dark-fluid", True, "flair"), ("T2 TSE", False, "t2"), ("T2* GRE", False, None),
        ("T1 AX", True, "t1ce"), ("T1 pre contrast", True, "t1"), ("Localizer T1", False, None),
        ("ep2d_diff_ADC", False, None), ("PD FS", False, "pd"),
        ("SAG T1 SE W/O", True, "t1"), ("3-Plane Scout", False, None), ("", False, None), ("AX T1 GD", False, "t1ce"),
    ],
)  # fmt: skip
def test_series_descriptions_name_modalities(description: str, contrast: bool, modality: str | None) -> None:
    assert modality_of(description, contrast) == modality


def _write_exam(folder: Path, seed: int = 0, without: tuple[str, ...] = ()) -> None:
    names = {"t1": "T1 AX", "t1ce": f"T1 AX POST {PATIENT}", "t2": "T2 AX", "flair": "FLAIR AX"}
    for part, array in arrays(seed).items():
        if part == "seg":
            folder.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, AFFINE), folder / "tumour_seg.nii.gz")
        elif part not in without:
            volume = np.ascontiguousarray(np.clip(array, 0, None).T.astype(np.uint16))
            write_series(folder / f"{part}-{DATE}", volume, AFFINE, names[part])
    write_series(folder / "scout", np.ones((2, 4, 4), np.uint16), AFFINE, "LOCALIZER")


def test_the_store_of_a_dicom_tree_holds_no_patient_data(tmp_path: Path) -> None:
    for i, name in enumerate((f"{PATIENT} {DATE}", "B", "C")):
        _write_exam(tmp_path / "tree" / name, i, without=("flair",) if name == "C" else ())
    cohort = find_cohort(tmp_path / "tree")
    assert (cohort.layout, cohort.content.modalities) == ("DICOM", ("t1", "t1ce", "t2", "flair"))
    report = prepare(str(tmp_path / "tree"), tmp_path / "a.zarr", Options(size=16))
    assert [(a.name, a.reason) for a in report.rejected] == [("C", "flair is missing")]
    store = open_store(tmp_path / "a.zarr")
    assert [label.value for label in store.channels.labels] == [1, 2, 4]
    for path in (tmp_path / "a.zarr").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for word in (PATIENT, "Jane", DATE, NUMBER, "20240229", "POST", "tree"):
            assert word.encode() not in content, path
            assert word not in path.name


def test_files_of_several_patients_in_one_folder(tmp_path: Path) -> None:
    volume = np.ones((4, 5, 6), np.uint16)
    for i, number in enumerate(("1", "2")):
        write_series(tmp_path / "in" / number, volume, AFFINE, "T1", PatientID=number)
        for path in (tmp_path / "in" / number).iterdir():
            path.rename(tmp_path / f"{i}{path.name}")
        (tmp_path / "in" / number).rmdir()
    (tmp_path / "in").rmdir()
    cohort = find_cohort(tmp_path)
    assert [s.name for s in cohort.subjects] == ["patient 1 of the folder", "patient 2 of the folder"]
    assert cohort.content.labels == ()


def test_drive_and_chase(shared_data: Path) -> None:
    drive, chase = find_cohort(shared_data / "fundus" / "drive"), find_cohort(shared_data / "fundus" / "chase")
    assert len(drive.subjects) == 20
    assert all(set(s.files) == {"photograph", "seg", "field"} and s.problem is None for s in drive.subjects)
    assert [s.name for s in chase.subjects] == [f"{i:02d}" for i in range(1, 15)]
    for subject in chase.subjects:  # both eyes of a child stay together
        eyes, masks = (subject.files[part] for part in ("photograph", "seg"))
        assert [path.stem for path in eyes] == [f"Image_{subject.name}{eye}" for eye in "LR"]  # type: ignore[union-attr]
        assert [path.stem for path in masks] == [f"Image_{subject.name}{eye}_1stHO" for eye in "LR"]  # type: ignore[union-attr]


@given(st.sets(st.integers(0, 120), min_size=2, max_size=9), st.sampled_from(["", "_a", "-mask", "gt"]), st.booleans())
def test_masks_are_matched_by_the_differing_part_of_names(numbers: set[int], tail: str, padded: bool) -> None:
    called = [f"{n:03d}" if padded else str(n) for n in sorted(numbers)]
    every = _paths(*(f"images/pic_{c}.jpg" for c in called), *(f"masks/m{c}{tail}.png" for c in called))
    cohort = photo_folders.find(Path("/x"), every)
    assert cohort is not None
    assert {s.name for s in cohort.subjects} == set(called)
    for subject in cohort.subjects:
        assert subject.files["seg"] == (Path(f"/x/masks/m{subject.name}{tail}.png"),)


def test_two_possible_mask_folders_are_refused() -> None:
    every = _paths(*(f"{w}/{i}.png" for w in ("images", "1st_manual", "2nd_manual") for i in range(3)))
    with pytest.raises(InputError, match="several folders beside its pictures"):
        photo_folders.find(Path("x"), every)


def _write_planned(folder: Path) -> Path:
    for i, name in enumerate(("A", "A", "B", "C", "D")):
        found, visit = arrays(i), "v2" if i == 1 else "v1"
        for path, part in (
            (f"{name}/{visit}/T1", "t1"),
            (f"{name}/{visit}/x_FLAIR_y", "flair"),
            (f"masks/{name}_{visit}", "seg"),
        ):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if not (name == "D" and part == "seg"):
                nib.save(nib.Nifti1Image(found[part], AFFINE), folder / f"{path}.nii.gz")
    (folder / "plan.yaml").write_text(PLAN)
    return folder


def test_a_plan_assigns_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_pgan.cli.app import main

    source = _write_planned(tmp_path / "in")
    words = ["prepare", str(source), str(tmp_path / "a.zarr"), "--plan", str(source / "plan.yaml"), "--workers", "1"]
    assert main([*words, "--dry-run"]) == 0
    output = capsys.readouterr().err
    assert "D v1: the segmentation is missing; flair, t1" in output
    assert "5 subjects found, 4 of them complete" in output
    assert main([*words, "--split", "0.5,0.5,0"]) == 0
    store = open_store(tmp_path / "a.zarr")
    assert store.channels.modalities == ("t1", "flair")
    assert {x.value: x.name for x in store.channels.labels} == {1: "core", 2: "oedema"}
    assert (store.grid.shape, store.grid.orientation, store.grid.sided) == ((16, 16), "IL", True)
    people: dict[str, set[str]] = {}
    keys = store.keys()
    for key in keys:
        about = store.subject(key).attributes
        people.setdefault(about["person"], set()).add(about["split"])
    assert len(keys) == 4
    assert len(people) == 3
    assert all(len(splits) == 1 for splits in people.values())
    other = source / "other.yaml"
    other.write_text(PLAN.replace("2: {name: oedema", "2: {name: swelling"))
    with pytest.raises(InputError, match="different modalities or labels"):
        prepare(
            str(source),
            tmp_path / "a.zarr",
            Options(16, axis="coronal", split=SplitRule.parse("0.5,0.5,0"), plan=read_plan(other)),
        )


def test_one_file_for_two_modalities_is_a_problem() -> None:
    plan = CohortPlan(modalities={"t1": "{subject}/*T1*.nii", "t1ce": "{subject}/*T1C*.nii", "t2": "{subject}/T2.nii"})
    paths = _paths("A/T1.nii", "A/T1C.nii", "A/T2.nii", "B/T1C.nii", "B/T2.nii", "C/T1_.nii", "C/T2.nii")
    assert {s.name: s.problem for s in plan.find(Path("/x"), paths).subjects} == {
        "A": duplicate_problem(["t1"]),
        "B": "t1 and t1ce are the same file; make the plan's patterns narrower",
        "C": "t1ce is missing",
    }


def test_a_plan_for_dicom(tmp_path: Path) -> None:
    _write_exam(tmp_path / "A")
    plan = CohortPlan.model_validate({"modalities": {"a": {"series": "T1 AX POST*"}, "b": {"series": "t1*"}}})
    (subject,) = plan.find(tmp_path, [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]).subjects
    assert (subject.name, set(subject.files), subject.problem) == ("A", {"a", "b"}, None)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("modalities: {t1: '../{subject}.nii'}", "t1: '../{subject}.nii' points outside"),
        ("modalities: {t1: '/etc/{subject}'}", "points outside the source"),
        ("modalities: {t1: 'a/../../{subject}'}", "points outside the source"),
        ("modalities: {../../x: '{subject}'}", "'../../x' is not a modality name"),
        ("modalities: {Atlas: '{subject}'}", "'Atlas' is the name of the atlas"),
        ("modalities: {seg: '{subject}'}", "'seg' is the name of the segmentation"),
        ("modalities: {a/b: '{subject}'}", "'a/b' is not a modality name"),
        ("modalities: {t1: 'a.nii'}", "'a.nii' lacks the placeholder {subject}"),
        ("modalities: {t1: '{subject:(}'}", "invalid regular expression"),
        ("modalities: {t1: '{patient}'}", "{patient} is unknown"),
        ("modalities: {t1: '{subject}'}\nlabel: {1: a}", "no key 'label'; did you mean 'labels'?"),
        ("modalities: {t1: '{subject}'}\ncolour: red", "no key 'colour'; known keys are modalities, "),
        ("modalities: {t1: '{subject}'}\ngrid: {sise: 64}", "no key 'grid.sise'; did you mean 'grid.size'?"),
        ("modalities: {t1: {serie: 'T1*'}}", "no key 'modalities.t1.serie'; did you mean 'modalities.t1.series'?"),
        ("modalities: {t1: 5}", "modalities.t1 is 5; it should be a valid"),
        ("modalities: {t1: '{subject}'}\ngrid: {size: 100}", "grid.size: size 100 cannot"),
        ("modalities: {t1: '{subject}'}\ngrid: {fov: -1}", "grid.fov: -1 is not a length"),
        ("modalities: {t1: '{subject}'}\ngrid: {fov: wide}", "grid.fov is 'wide'; it should be a valid"),
        ("modalities: {t1: '{subject}'}\nlabels: {1: a}", "labels but no segmentation"),
        ("modalities: {t1: '{subject}'}\nsegmentation: 's/{subject}'\nlabels: {999: a}", "labels.999"),
        ("modalities: {t1: '{subject}'}\nreference: t2", "the reference 't2'"),
        ("modalities: {t1: '{subject}'}\ngrid: {axis: up}", "grid.axis is 'up'; it should be 'axial', 'coronal' or"),
        (
            "modalities: {t1: '{subject}'}\nsegmentation: 's/{subject}'\nlabels: {1: a, 2: a}",
            "two label values are called 'a'",
        ),
        (
            "modalities: {t1: '{subject}'}\nsegmentation: 's/{subject}'\nlabels: {1: {name: a, color: red}}",
            "label 'a' has the colour 'red'",
        ),
        ("labels: {}", "either modalities or a photograph"),
        ("- 1", "does not hold keys"),
        ("a: [", "is not valid YAML in line"),
    ],
)  # fmt: skip
def test_invalid_plans_are_refused_in_one_line(tmp_path: Path, text: str, fact: str) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_plan(tmp_path / "plan.yaml")
    assert fact in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "plan.yaml"))
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_pattern_is_accepted_or_refused(text: str) -> None:
    try:
        CohortPlan.model_validate({"modalities": {"t1": text}})
    except ValueError:
        return
    assert "{subject" in text
