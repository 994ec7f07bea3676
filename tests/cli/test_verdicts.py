"""Verdicts on the shipped model, which was trained on phantoms: it can express phantoms, but not patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_pgan.cli.exam_source import ExamOptions, exam_slices
from napari_pgan.errors import InputError
from napari_pgan.latent.encoder import Fidelity, encode, judge, recorded_fidelity, refine
from napari_pgan.model import Model, load_model
from napari_pgan.phantom import write_cohort


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("default")


@pytest.fixture(scope="module")
def phantoms(model: Model, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """Images of subjects outside the training set, (2, M, Y, X)."""
    folder = tmp_path_factory.mktemp("cohort") / "c"
    write_cohort(folder, 2, seed=987, size=64)
    return np.stack([picture.images for picture in exam_slices(model.card, "default", [str(folder)], ExamOptions())])


def verdicts(model: Model, images: np.ndarray) -> list[str]:
    *_, last = refine(model, encode(model, images=images), images=images, steps=100)
    explained, own = Fidelity.of(images, last.images).explained.mean(axis=1), recorded_fidelity(model)
    return [judge(float(share), own, own["steps"]).name for share in explained]  # half of the recorded steps are enough


def test_own_samples_and_phantoms_can_be_expressed(model: Model, phantoms: np.ndarray) -> None:
    own = model.sample(seeds=[50_000, 50_001]).images
    assert not set(verdicts(model, np.concatenate([own, phantoms]))) & {"beyond"}


def test_noise_and_inverted_heads_cannot_be_expressed(model: Model, phantoms: np.ndarray) -> None:
    head = (phantoms > -0.95).any(axis=1, keepdims=True)
    inverted = np.where(head, -phantoms, -1).astype(np.float32)
    noise = np.where(head, np.random.default_rng(0).uniform(-0.9, 1, phantoms.shape), -1).astype(np.float32)
    assert set(verdicts(model, np.concatenate([inverted, noise]))) == {"beyond"}


def test_a_patient_cannot_be_expressed(model: Model, shared_data: Path) -> None:
    exam = shared_data / "brats18" / "Brats18_2013_3_1"
    files = [f"{part}={exam / exam.name}_{part}.nii.gz" for part in (*model.card.channels.modalities, "seg")]
    (picture,) = exam_slices(model.card, "default", files, ExamOptions())
    assert verdicts(model, picture.images[None]) == ["beyond"]


def test_fidelity_recorded_by_an_earlier_version_is_refused() -> None:
    old = load_model("default")
    old.card.encoders["own"].pop("explained")
    with pytest.raises(InputError, match="earlier version"):
        recorded_fidelity(old)
