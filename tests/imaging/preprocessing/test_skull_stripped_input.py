"""Skull stripping leaves volumes that have no skull unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pgan.imaging.io.volume import Volume, orient, read_volume
from napari_pgan.imaging.normalise.intensity import Foreground, find_foreground
from napari_pgan.imaging.preparation.prepare import Options, prepare
from napari_pgan.imaging.preprocessing.exam import Exam, preprocess_exam
from napari_pgan.imaging.preprocessing.pipeline import preprocess
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.registration.brain_mask import stripped_brain
from napari_pgan.phantom import make_subject
from napari_pgan.store import SplitRule, open_store

STRIP = PreprocessingSteps(strip=True, reference="t1")


def _of_brats(shared_data: Path) -> dict[str, Volume]:
    """Return a skull-stripped subject at 2 mm."""
    folder = shared_data / "brats18" / "Brats18_2013_11_1"
    found = {}
    for part in ("t1", "t2", "flair"):
        volume = read_volume(folder / f"{folder.name}_{part}.nii.gz")
        affine = volume.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
        found[part] = Volume(np.ascontiguousarray(volume.array[::2, ::2, ::2]), affine)
    return found


def test_a_brats_subject_is_unchanged(shared_data: Path) -> None:
    volumes = _of_brats(shared_data)
    made = preprocess(volumes, STRIP)
    for part, volume in volumes.items():
        np.testing.assert_array_equal(made.foregrounds[part].mask, find_foreground(volume.array).mask)
    assert made.brain_mask is not None
    assert made.brain_mask["stripped"]
    assert 1400 < made.brain_mask["millilitres"] < 1700


def test_an_exam_reports_it(shared_data: Path) -> None:
    preprocessed = preprocess_exam(Exam(_of_brats(shared_data)), STRIP)
    assert preprocessed.problems == ("t1 has no skull, so its brain is kept as it is",)


def test_a_slab_of_a_brain_is_unchanged(shared_data: Path, tmp_path: Path) -> None:
    """Registration of a template to a slab is unreliable."""
    t1 = orient(read_volume(shared_data / "openms_patient19" / "patient19_t1.nii.gz"))
    made = preprocess({"t1": t1}, STRIP, folder=tmp_path)
    np.testing.assert_array_equal(made.foregrounds["t1"].mask, find_foreground(t1.array).mask)
    assert (tmp_path / "brain.png").is_file()


def test_a_modality_with_skull_gets_the_brain_of_a_stripped_reference(shared_data: Path) -> None:
    volumes = _of_brats(shared_data)
    brain = find_foreground(volumes["t1"].array).mask
    z, y, x = np.meshgrid(*[np.linspace(-1.05, 1.05, n) for n in brain.shape], indexing="ij")
    skull = np.where(z**2 + y**2 + x**2 < 1, 300, np.random.default_rng(0).uniform(0, 9, brain.shape))
    volumes["t2"] = Volume(np.where(brain, volumes["t2"].array, skull).astype(np.float32), volumes["t2"].affine)
    made = preprocess(volumes, STRIP)
    mask = made.foregrounds["t2"].mask
    assert (brain & ~mask).sum() == 0
    assert mask.sum() < 1.02 * brain.sum()  # its holes are filled


def test_a_head_with_zero_air_is_not_a_brain(shared_data: Path) -> None:
    subject = make_subject(0, 64, skull=True)
    assert subject.grid.spacing is not None
    sz, sy, sx = subject.grid.spacing
    t1 = subject.images["t1"]
    head = find_foreground(t1).mask
    phantom = Volume(np.where(head, t1 - t1.min() + 1, 0).astype(np.float32), np.diag([-sx, -sy, sz, 1.0]))
    average = orient(read_volume(shared_data / "orientations" / "LPS.nii.gz"))
    for volume in (phantom, average):
        foreground = find_foreground(volume.array)
        assert foreground.stripped
        assert stripped_brain(volume, foreground) is None
    ones = np.ones((2, 2, 2), np.float32)
    assert stripped_brain(Volume(ones, np.eye(4)), Foreground(ones > 0, 0.0, stripped=False)) is None


@pytest.mark.slow
def test_the_store_of_a_stripped_subject_is_the_same_with_and_without_strip(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "cohort"
    source.mkdir()
    (source / "Brats18_2013_11_1").symlink_to(shared_data / "brats18" / "Brats18_2013_11_1")
    made = []
    for strip in (False, True):
        store = tmp_path / f"{strip}.zarr"
        report = prepare(
            str(source), store, Options(size=32, strip=strip, split=SplitRule.parse("train=1,val=0,test=0"))
        )
        assert any("came without a skull" in line for line in report.lines()) == strip
        made.append(open_store(store).load_slices(None))
    np.testing.assert_array_equal(made[0].images, made[1].images)
    np.testing.assert_array_equal(made[0].labels, made[1].labels)
