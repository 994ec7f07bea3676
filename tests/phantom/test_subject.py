"""Facts about phantom subjects."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.phantom import CHANNELS, PhantomSubject, make_subject
from napari_pgan.phantom.anatomy import make_anatomy
from napari_pgan.phantom.mass_effect import midline_shift
from napari_pgan.phantom.template import load_template
from napari_pgan.phantom.tumour import grow

CORE = (1, 4)


def _median(subject: PhantomSubject, modality: str, mask: np.ndarray) -> float:
    return float(np.median(subject.images[modality][mask]))


def _core_ml(subject: PhantomSubject) -> float:
    return subject.volumes_ml["necrotic core"] + subject.volumes_ml["enhancing tumour"]


def test_oedema_lies_in_white_matter(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        white = subject.tissue["white"]
        assert white[subject.labels == 2].mean() > 1.5 * white[subject.brain].mean()


@pytest.mark.parametrize("seed", [3, 7])
def test_a_growing_tumour_shifts_the_midline_more(seed: int) -> None:
    anatomy = make_anatomy(seed)
    shifts = [midline_shift(anatomy, grow(seed, anatomy, core_ml=ml).flow) for ml in (5, 20, 60)]
    assert np.all(np.diff(shifts) > 0.5)


def test_a_tumour_grows_to_about_the_requested_volume() -> None:
    for ml in (8, 40):
        assert _core_ml(make_subject(3, 32, core_ml=ml)) == pytest.approx(ml, rel=0.35)


def test_the_midline_shifts_more_in_subjects_with_larger_tumours(subjects: list[PhantomSubject]) -> None:
    shifts = [subject.midline_shift_mm for subject in subjects]
    assert np.corrcoef([_core_ml(subject) for subject in subjects], shifts)[0, 1] > 0.5
    assert max(shifts) < 15


def test_head_outlines_differ(subjects: list[PhantomSubject]) -> None:
    for a, b in itertools.combinations((s.brain for s in subjects), 2):
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) < 0.97


def test_contrasts_rank_as_in_real_mri(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        healthy = subject.brain & (subject.labels == 0)
        white, grey, fluid = (healthy & (subject.tissue[name] > 0.85) for name in ("white", "grey", "csf"))
        oedema, rim = subject.labels == 2, subject.labels == 4
        masks = {"white": white, "grey": grey, "fluid": fluid, "oedema": oedema, "rim": rim}
        t1, t1ce, t2, flair = (
            {name: _median(subject, m, mask) for name, mask in masks.items()} for m in CHANNELS.modalities
        )
        assert t1["white"] > t1["grey"] > t1["fluid"]
        assert t2["fluid"] > t2["grey"] > t2["white"]
        assert flair["grey"] > flair["white"] > flair["fluid"]
        assert t2["oedema"] > 1.3 * t2["white"]
        assert flair["oedema"] > 1.3 * flair["white"]
        assert t1ce["rim"] > 1.15 * t1ce["white"]
        assert t1["rim"] < t1["white"]
        if (subject.labels == 1).sum() > 50:
            necrosis = subject.labels == 1
            assert _median(subject, "t1ce", necrosis) < 0.8 * t1ce["rim"]
            assert _median(subject, "t2", necrosis) > t2["grey"]


def test_lesion_contrast_matches_real_scans(subjects: list[PhantomSubject], shared_data: Path) -> None:
    measures = {"flair": 2, "t1ce": 4, "t2": 2}
    real = {modality: [] for modality in measures}
    for folder in sorted((shared_data / "brats18").iterdir())[4:20:4]:
        labels = np.asarray(nib.load(folder / f"{folder.name}_seg.nii.gz").dataobj)
        for modality, label in measures.items():
            image = nib.load(folder / f"{folder.name}_{modality}.nii.gz").get_fdata(dtype=np.float32)
            real[modality].append(np.median(image[labels == label]) / np.median(image[(image > 0) & (labels == 0)]))
    for modality, label in measures.items():
        ours = [
            _median(s, modality, s.labels == label) / _median(s, modality, s.brain & (s.labels == 0)) for s in subjects
        ]
        assert min(real[modality]) * 0.85 < np.median(ours) < max(real[modality]) * 1.15, modality


def test_tumours_vary_and_start_in_the_hemispheres(subjects: list[PhantomSubject]) -> None:
    left = [s.tumour_seed_mm[2] > 0 for s in subjects]
    assert any(left)
    assert not all(left)
    assert max(_core_ml(s) for s in subjects) > 3 * min(_core_ml(s) for s in subjects)
    for subject in subjects:
        assert set(np.unique(subject.labels)) <= {0, 1, 2, 4}
        assert subject.labels[subject.tumour_seed_index] in CORE
        around = tuple(slice(i - 2, i + 3) for i in subject.tumour_seed_index)
        assert subject.brain[around].all()


def test_the_core_does_not_fill_the_ventricles(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        fluid = subject.tissue["csf"]
        assert fluid[np.isin(subject.labels, CORE)].mean() < 0.75 * fluid[subject.brain].mean()


def test_background_is_zero_and_brain_is_not(subjects: list[PhantomSubject]) -> None:
    for subject in subjects:
        for image in subject.images.values():
            assert image.dtype == np.float32
            assert not image[~subject.brain].any()
            assert image[subject.brain].min() >= 1
        assert not subject.labels[~subject.brain].any()
        total = sum(subject.tissue.values())
        np.testing.assert_allclose(total[subject.brain], 1, atol=1e-4)
        for face in (subject.brain[-1], subject.brain[:, 0], subject.brain[:, -1], subject.brain[..., 0]):
            assert not face.any()  # the head is inside the field of view


def test_the_ground_truth_uses_patient_coordinates(subjects: list[PhantomSubject]) -> None:
    subject = subjects[0]
    assert subject.grid.orientation == "SPL"
    assert nib.aff2axcodes(subject.grid.affine()) == ("L", "P", "S")
    # The cerebellum, low and behind, is wider than the frontal lobes at the same height.
    low = np.flatnonzero(subject.brain.any((1, 2)))[0] + 8
    there = np.argwhere(subject.brain[low])
    assert there[:, 0].mean() > subject.brain.shape[1] / 2


def test_seeds_determine_the_bytes() -> None:
    one, two, other = make_subject(5, 48), make_subject(5, 48), make_subject(6, 48)
    for modality in CHANNELS.modalities:
        assert one.images[modality].tobytes() == two.images[modality].tobytes()
        assert one.images[modality].tobytes() != other.images[modality].tobytes()
    assert one.labels.tobytes() == two.labels.tobytes()
    assert one.truth() == two.truth()


def test_a_seed_gives_the_same_head_at_each_size(subjects: list[PhantomSubject]) -> None:
    fine = make_subject(1, 128)
    coarse = subjects[1]
    assert fine.midline_shift_mm == coarse.midline_shift_mm
    for name in ("brain", "oedema"):
        assert fine.volumes_ml[name] == pytest.approx(coarse.volumes_ml[name], rel=0.1)
    averaged = fine.brain.reshape(64, 2, 64, 2, 64, 2).mean((1, 3, 5)) > 0.5
    assert 2 * (averaged & coarse.brain).sum() / (averaged.sum() + coarse.brain.sum()) > 0.97


def test_a_skull_adds_bright_fat_and_dark_bone_around_the_same_brain() -> None:
    bare, whole = make_subject(2, 64), make_subject(2, 64, skull=True)
    assert (bare.brain == whole.brain).all()
    assert (bare.labels == whole.labels).all()
    t1 = whole.images["t1"]
    outside = ~whole.brain & (t1 > np.median(t1[whole.brain]))
    assert 100 < outside.sum() * 216**3 / 64**3 / 1000 < 1200  # ml of scalp
    # Going out from the brain's left side: something dark, then something bright.
    z, y, x = np.argwhere(whole.brain).mean(0).astype(int)
    ray = t1[z, y, x:]
    surface = np.flatnonzero(whole.brain[z, y, x:])[-1]
    beyond = ray[surface + 1 :]
    brightest = int(beyond.argmax())
    assert brightest > 0
    assert beyond[:brightest].min() < 0.6 * np.median(t1[whole.brain])
    assert beyond[brightest] > np.median(t1[whole.brain])


def test_no_download_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    load_template.cache_clear()
    make_subject(0, 32)


def test_the_phantom_needs_no_torch_and_no_simpleitk() -> None:
    code = "import sys, napari_pgan.phantom; print({'torch', 'SimpleITK', 'napari'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 0, "size": 8}, {"seed": 0, "size": 999}, {"seed": 0, "core_ml": 1e4}]
)
def test_invalid_arguments_are_rejected(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError):
        make_subject(**arguments)  # type: ignore[arg-type]
