"""Alignment of modalities with different grids, and resampling back to them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from displaced import motion, move, template
from PIL import Image
from small_cohort import write

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.plan import CohortPlan, PhotographPlan
from napari_pgan.imaging.io.errors import SubjectRejected
from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.normalise.intensity import Foreground, find_foreground
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.imaging.registration.align import ALIGNED, align, back_to
from napari_pgan.imaging.registration.register import distance
from napari_pgan.imaging.registration.resampling import read_transform
from napari_pgan.phantom import make_subject
from napari_pgan.store import SplitRule, open_store

PARTS = ("t1", "t1ce", "t2", "flair")
CENTRE = np.array([0.0, 17.0, 0.0])


def _subject(truth: np.ndarray) -> dict[str, Volume]:
    """T1 and T1ce on one grid, displaced T2 and FLAIR, and a segmentation drawn on T2."""
    brain = template()
    t1, t2 = brain["t1"], brain["t2"]
    points = np.argwhere(np.ones(t1.array.shape, bool))[:, ::-1] @ t1.affine[:3, :3].T + t1.affine[:3, 3]
    away = np.linalg.norm(points - (30, 10, 20), axis=1).reshape(t1.array.shape)
    lesion = Volume(np.where(away < 8, 4, np.where(away < 13, 2, 0)).astype(np.uint8), t1.affine)
    bright = Volume(t1.array + np.float32(80) * (lesion.array == 4), t1.affine)
    flair = move(Volume(np.maximum(t2.array, 0) + np.float32(40) * (lesion.array > 0), t2.affine), truth)
    moved = move(Volume(lesion.array.astype(np.float32), lesion.affine), truth)
    drawn = Volume(np.select([moved.array > 3, moved.array > 1], [4, 2]).astype(np.uint8), t2.affine)
    shift = np.eye(4)  # T2 has slices at the bottom and the top that T1 lacks not, and none at its very edges
    shift[2, 3] = 2
    cut = {name: Volume(v.array[2:-1], v.affine @ shift) for name, v in (("t2", move(t2, truth)), ("seg", drawn))}
    return {"t1": t1, "t1ce": bright, "t2": cut["t2"], "flair": flair, "seg": cut["seg"], "truth": lesion}


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return motion(np.random.default_rng(2), 12, 12, CENTRE)


@pytest.fixture(scope="module")
def subject(truth: np.ndarray) -> dict[str, Volume]:
    return _subject(truth)


def _heads(volumes: dict[str, Volume]) -> dict[str, Foreground]:
    return {part: find_foreground(volumes[part].array) for part in PARTS}


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_all_parts_reach_the_reference_grid_and_return(
    subject: dict[str, Volume], truth: np.ndarray, tmp_path: Path
) -> None:
    lesion = subject["truth"].array
    given = {part: subject[part] for part in (*PARTS, "seg")}
    made = align(given, _heads(given), "t1", folder=tmp_path)
    assert all(volume.same_grid(given["t1"]) for volume in made.volumes.values())
    assert made.volumes["t1"] is given["t1"]
    assert made.volumes["t1ce"] is given["t1ce"]  # aligned already: not a voxel is interpolated
    points = np.array([[0.0, 0, 0], [60, 0, 0], [0, -80, 0], [0, 0, 60]])
    for part in ("t2", "flair"):
        assert distance(made.matrices[part], truth, points) < 1.0
        np.testing.assert_allclose(read_transform(tmp_path / f"t1_to_{part}.tfm"), made.matrices[part], atol=1e-9)
        assert (tmp_path / f"{part}.png").stat().st_size > 5000
    brain = find_foreground(given["t1"].array).mask
    wanted = template()["t2"].array[brain]
    assert np.corrcoef(made.volumes["t2"].array[brain], wanted)[0, 1] > 0.8  # interpolated twice
    assert _dice(made.volumes["seg"].array > 0, lesion > 0) > 0.9
    back = back_to(Volume(lesion, given["t1"].affine), made.to_dict(), "t2", labels=True)
    assert back.same_grid(given["t2"])
    assert _dice(back.array > 0, given["seg"].array > 0) > 0.9


def test_a_header_pose_as_good_as_the_result_is_preserved() -> None:
    """A missing slice makes another grid, but the heads are already aligned."""
    subject = make_subject(1, 64, skull=True)
    assert subject.grid.spacing is not None
    sz, sy, sx = subject.grid.spacing
    affine = np.diag([-sx, -sy, sz, 1.0])
    volumes = {"t1": Volume(subject.images["t1"], affine), "flair": Volume(subject.images["flair"][:-1], affine)}
    heads = {part: find_foreground(volume.array) for part, volume in volumes.items()}
    made = align(volumes, heads, "t1")  # sets nobody aside
    quality = made.quality["flair"]
    assert quality.after >= quality.before
    assert quality.moved < ALIGNED
    assert made.volumes["flair"].same_grid(volumes["t1"])


def test_a_segmentation_outside_the_head_is_rejected(subject: dict[str, Volume]) -> None:
    far = np.eye(4)
    far[0, 3] = 150
    seg = subject["truth"]
    given = {"t1": subject["t1"], "t1ce": subject["t1ce"], "seg": Volume(seg.array, far @ seg.affine)}
    with pytest.raises(SubjectRejected, match=r"segmentation .*only 0% of it lies in the head") as caught:
        align(given, {part: find_foreground(given[part].array) for part in ("t1", "t1ce")}, "t1")
    assert caught.value.figures is not None


@pytest.fixture(scope="module")
def cohort(subject: dict[str, Volume], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two valid subjects, and one with a wrong FLAIR."""
    folder = tmp_path_factory.mktemp("grids") / "cohort"
    random = np.random.default_rng(0)
    for name in ("good", "fine", "wrong"):
        for part in (*PARTS, "seg"):
            volume = subject[part]
            array = volume.array
            if name == "wrong" and part == "flair":
                z, y, x = np.meshgrid(*[np.arange(n) - n / 2 for n in array.shape], indexing="ij")
                array = ((x**2 + y**2 + z**2 < 28**2) * random.uniform(50, 100, array.shape)).astype(np.float32)
            write(folder / name / f"{name}_{part}.nii.gz", array.T, volume.affine)
    return folder


@pytest.mark.slow
def test_a_cohort_with_different_grids_is_prepared(cohort: Path, tmp_path: Path) -> None:
    rule = SplitRule.parse("train=1,val=1,test=0")
    with pytest.raises(InputError, match="give --register"):
        prepare(str(cohort), tmp_path / "none.zarr", Options(size=32, split=rule))
    page = tmp_path / "page"
    options = Options(size=32, split=rule, register=True, folder=page)
    report = prepare(str(cohort), tmp_path / "a.zarr", options)
    (aside,) = report.rejected
    assert aside.name == "wrong"
    assert aside.reason.startswith("flair could not be registered")
    store = open_store(tmp_path / "a.zarr")
    assert len(store.keys()) == 2
    written = (page / "quality.html").read_text()
    order = [heading for heading in re.findall(r"<h2>(\w+)</h2>", written) if heading != "Subjects"]
    assert order[0] == "wrong"
    assert set(order) == {"wrong", "good", "fine"}
    assert "http" not in written
    for source in re.findall(r'src="([^"]+)"', written):
        assert (page / source).is_file()
    everything = b"".join(p.read_bytes() for p in (tmp_path / "a.zarr").rglob("zarr.json"))
    assert b"wrong" not in everything
    assert b"good" not in everything
    with pytest.raises(InputError, match="prepared with --register; give a new store"):
        prepare(str(cohort), tmp_path / "a.zarr", Options(size=32, split=rule))


def test_without_segmentation_the_plan_sets_the_reference(subject: dict[str, Volume], tmp_path: Path) -> None:
    for part in ("t1", "t2"):
        write(tmp_path / "in" / f"a_{part}.nii.gz", subject[part].array.T, subject[part].affine)
    plan = CohortPlan(modalities={"t1": "{subject}_t1.nii.gz", "t2": "{subject}_t2.nii.gz"}, reference="t2")
    rule = SplitRule.parse("train=1,val=0,test=0")
    options = Options(size=32, split=rule, plan=plan, register=True)
    report = prepare(str(tmp_path / "in"), tmp_path / "a.zarr", options)
    assert not report.rejected
    (about,) = report.subjects.values()
    assert about["registration"]["reference"] == "t2"
    assert about["provenance"]["shape"][0] == subject["t2"].array.shape[0]
    with pytest.raises(InputError, match="'flair' is not a modality of this cohort; give t1, t2"):
        prepare(str(tmp_path / "in"), tmp_path / "b.zarr", replace(options, reference="flair"))


@pytest.mark.parametrize("given", ["register", "bias", "strip"])
def test_photographs_are_not_registered(tmp_path: Path, given: str) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    plan = CohortPlan(photograph=PhotographPlan(image="{subject}.png"))
    with pytest.raises(InputError, match="these are photographs"):
        prepare(str(tmp_path), tmp_path / "a.zarr", Options(size=16, plan=plan, **{given: True}))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_clinical_exam_reaches_one_grid_and_returns(shared_data: Path) -> None:
    names = {"t1": "*_t1.nii.gz", "t1ce": "*_t1c.nii.gz", "t2": "*_t2.nii.gz", "flair": "*_fla.nii.gz"}
    folder = shared_data / "clinical_FG6692"
    given = {part: orient(read_volume(next(folder.glob(name)))) for part, name in names.items()}
    heads = _heads(given)
    seg = Volume(heads["t2"].mask.astype(np.uint8), given["t2"].affine)
    made = align({**given, "seg": seg}, heads, "t1")
    assert all(volume.same_grid(given["t1"]) for volume in made.volumes.values())
    assert all(quality.overlap > 0.95 for quality in made.quality.values())
    back = back_to(made.volumes["seg"], made.to_dict(), "t2", labels=True)
    assert back.same_grid(given["t2"])
    assert _dice(back.array > 0, seg.array > 0) > 0.85


def test_a_constant_border_around_air_is_not_a_stripped_brain() -> None:
    random = np.random.default_rng(0)
    z, y, x = np.meshgrid(*[np.arange(40) - 19.5] * 3, indexing="ij")
    scan = np.abs(random.normal(0, 2, (40, 40, 40))) + 100 * (x**2 + y**2 + z**2 < 12**2)
    scan[:3] = scan[:, :3] = scan[:, :, :3] = scan[-3:] = scan[:, -3:] = scan[:, :, -3:] = 0
    found = find_foreground(scan)
    assert not found.stripped
    np.testing.assert_array_equal(found.mask, scan > 50)


@pytest.mark.slow
def test_a_clinical_exam_returns_from_a_small_store(shared_data: Path, tmp_path: Path) -> None:
    """Data stored at 64² pixels, like model output, return to the scanner's grids."""
    names = {
        "t1": "*T1_AX_OtherEXample{subject}_Si_*_t1.nii.gz",
        "t2": "*T2_AX_OtherEXample{subject}_Si_*_t2.nii.gz",
    }
    rule = SplitRule.parse("train=1,val=0,test=0")
    options = Options(size=64, split=rule, plan=CohortPlan(modalities=names), register=True)
    folder = shared_data / "clinical_FG6692"
    report = prepare(str(folder), tmp_path / "a.zarr", options)
    ((key, about),) = report.subjects.items()
    images = np.asarray(open_store(tmp_path / "a.zarr").subject(key).images[:])
    for c, part in enumerate(names):
        original = read_volume(next(folder.glob(names[part].replace("{subject}", "*"))))
        stored = Volume(images[c], np.array(about["affine"]))
        back = back_to(stored, about["registration"], part, original=original, fill=-1)
        assert back.array.shape == original.array.shape
        np.testing.assert_array_equal(back.affine, original.affine)
        head = find_foreground(original.array).mask
        alike = np.corrcoef(back.array[head], original.array[head])[0, 1]
        assert alike > (0.8 if part == "t1" else 0.6)  # T2 goes twice between slices 5.5 mm apart
        assert _dice(find_foreground(back.array).mask, head) > 0.9
