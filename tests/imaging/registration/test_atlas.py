"""Registration to an atlas: recovery of known affine changes, single resampling, and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from displaced import motion, template
from small_cohort import write

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.plan import CohortPlan
from napari_pgan.imaging.io.errors import SubjectRejected
from napari_pgan.imaging.io.volume import Volume, read_volume, write_volume
from napari_pgan.imaging.normalise.intensity import find_foreground
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import read_parts
from napari_pgan.imaging.registration.align import align, back_to
from napari_pgan.imaging.registration.atlas import load_atlas
from napari_pgan.imaging.registration.head_template import shipped_template
from napari_pgan.imaging.registration.register import Pyramid, distance, register
from napari_pgan.imaging.registration.resampling import read_transform, resample_image
from napari_pgan.phantom import make_subject
from napari_pgan.store import SplitRule, open_store


def _affine(seed: int, centre: np.ndarray) -> np.ndarray:
    """Random motion, scaling of up to 8 % per axis and shear about `centre`."""
    random = np.random.default_rng(seed)
    size, there, back = np.eye(4), np.eye(4), np.eye(4)
    size[:3, :3] = np.diag(1 + random.uniform(-0.08, 0.08, 3)) + np.triu(random.uniform(-0.03, 0.03, (3, 3)), 1)
    there[:3, 3], back[:3, 3] = centre, -centre
    found: np.ndarray = motion(random, 10, 10, centre) @ there @ size @ back
    return found


def _displaced(volume: Volume, matrix: np.ndarray) -> Volume:
    """The volume transformed by `matrix`."""
    inverse = np.linalg.inv(matrix)
    return resample_image(volume, inverse, volume.array.shape, volume.affine, float(volume.array.min()))


@pytest.mark.parametrize("contrast", ["T2", pytest.param("T1", marks=pytest.mark.slow)])
def test_a_known_affine_change_of_an_average_head_is_recovered(shared_data: Path, contrast: str) -> None:
    folder = shared_data / "templates_2mm"
    atlas = Pyramid(read_volume(folder / "avg152T1.nii.gz"))
    truth = _affine(1, atlas.centre)
    head = Pyramid(_displaced(read_volume(folder / f"avg152{contrast}.nii.gz"), truth))
    found = register(atlas, head, affine=True)
    assert distance(truth, np.eye(4), atlas.points) > 8
    assert distance(found.matrix, truth, atlas.points) < 1.0
    assert found.disagreement < 2.5


@pytest.mark.slow
def test_a_known_affine_change_of_a_phantom_is_recovered() -> None:
    subject = make_subject(1, 96)
    spacing = subject.grid.spacing
    assert spacing is not None
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    still = Pyramid(Volume(subject.images["t1"], affine))
    truth = _affine(2, still.centre)
    found = register(still, Pyramid(_displaced(Volume(subject.images["t2"], affine), truth)), affine=True)
    assert distance(found.matrix, truth, still.points) < 1.0


def test_the_shipped_atlas_has_a_fine_grid_aligned_with_its_maps() -> None:
    atlas, maps = load_atlas("template", "SPL"), shipped_template()
    assert atlas.grid.spacing == (1.0, 1.0, 1.0)
    assert atlas.grid.orientation == "SPL"
    centres = []
    for mask, affine in ((atlas.extents[1], atlas.grid.affine), (maps.brain, maps.image.affine)):
        index = np.argwhere(mask).mean(axis=0)[::-1]
        centres.append(affine[:3, :3] @ index + affine[:3, 3])
    np.testing.assert_allclose(*centres, atol=1e-3)
    assert load_atlas("template", "PIL").grid.orientation == "PIL"


@pytest.fixture(scope="module")
def atlas_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas on a grid of its own: the average T1 brain at 3 mm."""
    path = tmp_path_factory.mktemp("atlas") / "somebody.nii.gz"
    t1 = template()["t1"]
    write_volume(path, resample_image(t1, np.eye(4), (60, 72, 60), t1.affine @ np.diag([2.8, 2.8, 2.8, 2.0]) / 2))
    return path


@pytest.fixture(scope="module")
def subject() -> tuple[dict[str, Volume], np.ndarray]:
    """T1 and displaced T2 of a brain with a known affine change, and that change."""
    brain = template()
    truth = _affine(3, np.array([0.0, 17, 0]))
    moved = motion(np.random.default_rng(4), 8, 8, np.array([0.0, 17, 0]))
    labels = Volume((brain["t1"].array > 90).astype(np.uint8), brain["t1"].affine)
    return {
        "t1": _displaced(brain["t1"], truth),
        "t2": _displaced(brain["t2"], moved @ truth),
        "seg": Volume(_displaced(labels, truth).array.round().astype(np.uint8), labels.affine),
    }, truth


def test_data_are_resampled_once_to_the_atlas_and_return(
    subject: tuple[dict[str, Volume], np.ndarray], atlas_file: Path, tmp_path: Path
) -> None:
    given, truth = subject
    atlas = load_atlas(str(atlas_file), "SPL")
    assert "somebody" not in atlas.identity
    heads = {part: find_foreground(given[part].array) for part in ("t1", "t2")}
    made = align(given, heads, "t1", folder=tmp_path, atlas=atlas)
    points = atlas.pyramid(True).points
    assert distance(made.matrices["t1"], truth, points) < 1.0
    assert all(volume.same_grid(atlas.grid) for volume in made.volumes.values())
    # one resampling by the composed transform, to the last bit
    onto, within = read_transform(tmp_path / "atlas_to_t1.tfm"), read_transform(tmp_path / "t1_to_t2.tfm")
    np.testing.assert_allclose(made.matrices["t2"], within @ onto, atol=1e-6)
    once = resample_image(given["t2"], made.matrices["t2"], atlas.grid.array.shape, atlas.grid.affine)
    np.testing.assert_array_equal(made.volumes["t2"].array, once.array)
    there = made.to_dict()
    assert there["atlas"]["identity"] == atlas.identity
    back = back_to(made.volumes["seg"], there, "seg", labels=True)
    assert back.same_grid(given["seg"])
    a, b = back.array > 0, given["seg"].array > 0
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.85  # at 2.8 mm and back
    returned = back_to(made.volumes["t2"], there, "t2")
    assert returned.same_grid(given["t2"])
    brain = heads["t2"].mask
    assert np.corrcoef(returned.array[brain], given["t2"].array[brain])[0, 1] > 0.9


def test_a_store_identifies_its_atlas_without_the_path(
    subject: tuple[dict[str, Volume], np.ndarray], atlas_file: Path, tmp_path: Path
) -> None:
    given, _ = subject
    for part in ("t1", "seg"):
        write(tmp_path / "in" / f"a_{part}.nii.gz", given[part].array.T, given[part].affine)
    plan = CohortPlan(modalities={"t1": "{subject}_t1.nii.gz"}, segmentation="{subject}_seg.nii.gz")
    rule = SplitRule.parse("train=1,val=0,test=0")
    options = Options(size=32, split=rule, plan=plan, atlas=str(atlas_file), labels="gaussian")
    report = prepare(str(tmp_path / "in"), tmp_path / "a.zarr", options)
    assert not report.rejected
    store = open_store(tmp_path / "a.zarr")
    atlas = load_atlas(str(atlas_file), "SPL")
    (about,) = report.subjects.values()
    np.testing.assert_allclose(about["provenance"]["spacing"], atlas.grid.spacing, atol=1e-3)
    assert store.attributes["settings"]["steps"]["atlas"] == atlas.identity
    everything = b"".join(p.read_bytes() for p in (tmp_path / "a.zarr").rglob("zarr.json"))
    assert b"somebody" not in everything
    for other in (None, "template"):
        with pytest.raises(InputError, match=r"a\.zarr was prepared with a different --atlas volume; give a new store"):
            prepare(str(tmp_path / "in"), tmp_path / "a.zarr", Options(size=32, split=rule, plan=plan, atlas=other))


def test_without_registration_headers_place_the_modalities(
    subject: tuple[dict[str, Volume], np.ndarray], atlas_file: Path
) -> None:
    given, _ = subject
    t1 = given["t1"]
    shape = tuple(int(n / step) for n, step in zip(t1.array.shape, (1.3, 1.1, 1.2), strict=True))
    other = resample_image(t1, np.eye(4), shape, t1.affine @ np.diag([1.2, 1.1, 1.3, 1.0]))  # the same brain
    steps = PreprocessingSteps(reference="t1", atlas="its identity")
    written = {"t1": atlas_file.with_name("t1.nii.gz"), "t2": atlas_file.with_name("t2.nii.gz")}
    for path, volume in zip(written.values(), (t1, other), strict=True):
        write_volume(path, volume)
    read = read_parts(written, ("t1", "t2"), "SPL", steps)
    assert not read["t1"].same_grid(read["t2"])
    with pytest.raises(SubjectRejected, match="different grids"):
        read_parts(written, ("t1", "t2"), "SPL")
    heads = {part: find_foreground(volume.array) for part, volume in read.items()}
    atlas = load_atlas(str(atlas_file), "SPL")
    made = align(read, heads, "t1", aligned=True, atlas=atlas)
    assert all(volume.same_grid(atlas.grid) for volume in made.volumes.values())
    both = made.foregrounds["t1"].mask & made.foregrounds["t2"].mask
    assert both.sum() > 0.9 * made.foregrounds["t1"].mask.sum()
    assert np.corrcoef(made.volumes["t1"].array[both], made.volumes["t2"].array[both])[0, 1] > 0.95


def test_a_changed_file_gives_the_new_atlas(atlas_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "atlas.nii.gz"
    path.write_bytes(atlas_file.read_bytes())
    first = load_atlas(str(path), "SPL")
    assert load_atlas(str(path), "SPL") is first
    volume = read_volume(str(path))
    write_volume(path, Volume(volume.array[::-1].copy(), volume.affine))
    second = load_atlas(str(path), "SPL")
    assert second.identity != first.identity
    assert second.grid.array.shape == first.grid.array.shape


def test_a_changed_data_file_beside_its_header_gives_the_new_atlas(atlas_file: Path, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(atlas_file))
    sitk.WriteImage(image, str(tmp_path / "atlas.mhd"))
    first = load_atlas(str(tmp_path / "atlas.mhd"), "SPL")
    sitk.WriteImage(sitk.Flip(image, (False, False, True)), str(tmp_path / "other.mhd"))
    (tmp_path / "atlas.raw").write_bytes((tmp_path / "other.raw").read_bytes())
    assert load_atlas(str(tmp_path / "atlas.mhd"), "SPL").identity != first.identity


def test_files_without_a_head_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the atlas .*none\.nii\.gz does not exist"):
        load_atlas(str(tmp_path / "none.nii.gz"), "SPL")
    write(tmp_path / "flat.nii.gz", np.ones((8, 8, 8), np.float32))
    with pytest.raises(InputError, match=r"the atlas .*flat\.nii\.gz is constant"):
        load_atlas(str(tmp_path / "flat.nii.gz"), "SPL")
