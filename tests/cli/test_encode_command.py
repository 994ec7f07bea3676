"""The commands `encoder` and `encode`: their output, messages and invalid input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from napari_pgan.cli.app import main
from napari_pgan.cli.exam_source import ExamOptions, exam_slices
from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Card, Generator, load_model, read_card, write_model
from napari_pgan.model.model import shipped_models
from napari_pgan.model.refit import store_mean_map
from napari_pgan.phantom import write_cohort
from napari_pgan.schema import Channels, Grid, Label

PARTS = ("t1", "t1ce", "t2", "flair", "seg")


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files by part of a phantom outside the training set of the shipped model."""
    (folder,) = write_cohort(tmp_path_factory.mktemp("cohort") / "c", 1, seed=987, size=64)
    return {part: folder / f"{folder.name}_{part}.nii.gz" for part in PARTS}


def _words(exam: dict[str, Path], *parts: str) -> list[str]:
    return [f"{part}={exam[part]}" for part in parts]


def _refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that must be refused, and return its one-line message."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    lines = [line for line in capsys.readouterr().err.strip().splitlines() if line]
    assert len(lines) == 1, lines
    return lines[0]


def test_a_phantom_is_encoded_and_sampled_again(
    exam: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sheet = tmp_path / "e.npz", tmp_path / "e.png"
    words = ["encode", "default", *_words(exam, *PARTS), "--seconds", "120", "--out", str(out), "--json"]
    assert main([*words, "--sheet", str(sheet)]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    (row,) = report["images"]
    with np.load(out, allow_pickle=False) as archive:
        saved = json.loads(str(archive["report"]))
        originals, found, latents = archive["originals"], archive["images"], archive["latents"]
        assert archive["modalities"].tolist() == ["t1", "t1ce", "t2", "flair"]
    assert saved["images"][0]["correlation"] == row["correlation"]
    assert str(exam["t1"].parent.parent) not in str(saved)  # neither path nor name is written to the file
    assert "name" not in saved["images"][0]
    segmentation = np.asarray(nib.load(exam["seg"]).dataobj)
    largest = (segmentation > 0).sum(axis=(0, 1)).argmax()
    assert row["slice"] == largest  # 64 voxels of 3.375 mm from inferior to superior
    head = (originals[0] > -0.95).any(axis=0)
    for m, name in enumerate(("t1", "t1ce", "t2", "flair")):
        assert np.corrcoef(originals[0, m][head], found[0, m][head])[0, 1] > 0.5, name
        assert row["correlation"][name] > 0.5
        assert row["explained"][name] > 0
        assert 0 < row["error"][name] < 0.25
    again = tmp_path / "again.npz"
    assert main(["sample", "default", "--latents", str(out), "--out", str(again)]) == 0
    with np.load(again, allow_pickle=False) as archive:
        np.testing.assert_allclose(archive["images"], found, atol=1e-3)
        np.testing.assert_array_equal(archive["latents"], latents)
    with Image.open(sheet) as page:
        assert page.width > 600
    assert row["sentence"] in captured.err


def test_a_folder_of_exams_is_one_image_each(
    exam: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = exam["t1"].parent.parent
    out, sheet = tmp_path / "e.npz", tmp_path / "e.png"
    words = ["encode", "default", str(source), "--seconds", "0", "--slices", "30,34", "--out", str(out)]
    assert main([*words, "--sheet", str(sheet)]) == 0
    with Image.open(sheet) as page:  # the input is not labelled as synthetic
        assert page.info["Description"].startswith('Rows "image" are the input; rows "encoded" are generated')
    with np.load(out, allow_pickle=False) as archive:
        assert archive["images"].shape == (2, 4, 64, 64)
        rows = json.loads(str(archive["report"]))["images"]
    assert [row["slice"] for row in rows] == [30, 34]
    assert [row["steps"] for row in rows] == [1, 1]
    assert all(row["seconds"] > 0 for row in rows)
    assert "1 of 200 steps" in capsys.readouterr().err


def test_an_interrupted_command_keeps_the_images_encoded_so_far(
    exam: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_pgan.cli import encode
    from napari_pgan.latent import encoder

    real, calls = encoder.refine, 0

    def interrupted(*args: Any, **how: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        yield from real(*args, **how, steps=1)
        if calls == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(encoder, "refine", interrupted)
    monkeypatch.setattr(encode, "_BATCH", 1)
    out = tmp_path / "e.npz"
    words = ["encode", "default", str(exam["t1"].parent.parent), "--slices", "30,32,34", "--json", "--out"]
    assert main([*words, str(out)]) == 130
    captured = capsys.readouterr()
    assert "contains 2 of 3 images" in captured.err
    assert "goes on" not in captured.err
    report = json.loads(captured.out)
    with np.load(out, allow_pickle=False) as archive:
        saved = json.loads(str(archive["report"]))
        assert len(archive["latents"]) == len(archive["originals"]) == len(saved["images"]) == 2
    assert (saved["stopped"], saved["left_out"]) == (report["stopped"], report["left_out"]) == (True, 1)
    assert main([*words, str(tmp_path / "none.npz")]) == 130
    assert "nothing is written" in capsys.readouterr().err
    assert not (tmp_path / "none.npz").exists()


@pytest.mark.parametrize("register", [True, False])
def test_a_displaced_modality_is_registered_on_request(exam: dict[str, Path], tmp_path: Path, register: bool) -> None:
    """The header of T2 is shifted by 15 mm to the side."""
    image = nib.load(exam["t2"])
    shift = np.eye(4)
    shift[0, 3] = 15
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), shift @ image.affine), tmp_path / "t2.nii.gz")
    words = [*_words(exam, "t1", "t1ce", "flair"), f"t2={tmp_path / 't2.nii.gz'}"]
    card = read_card(shipped_models()["default"])
    if not register:
        with pytest.raises(InputError, match="different grids"):
            list(exam_slices(card, "default", words, ExamOptions()))
        return
    (there,) = exam_slices(card, "default", words, ExamOptions(register=True))
    (right,) = exam_slices(card, "default", _words(exam, *PARTS[:4]), ExamOptions(slices=str(there.z)))
    assert np.corrcoef(there.images[2].ravel(), right.images[2].ravel())[0, 1] > 0.95


def test_the_brain_mask_of_an_exam_is_used(exam: dict[str, Path], tmp_path: Path) -> None:
    """The mask covers one half of the head, which brain extraction would never return."""
    image = nib.load(exam["t1"])
    half = np.asarray(image.dataobj) > 0
    half[: len(half) // 2] = False
    mask = tmp_path / "half.nii.gz"
    nib.save(nib.Nifti1Image(half.astype(np.uint8), image.affine), mask)
    anat, derived = tmp_path / "bids" / "sub-01" / "anat", tmp_path / "bids" / "derivatives" / "x" / "sub-01" / "anat"
    for folder in (anat, derived):
        folder.mkdir(parents=True)
    for part, end in {"t1": "T1w", "t1ce": "ce-gd_T1w", "t2": "T2w", "flair": "FLAIR"}.items():
        shutil.copy(exam[part], anat / f"sub-01_{end}.nii.gz")
    shutil.copy(mask, derived / "sub-01_desc-brain_mask.nii.gz")
    card = read_card(shipped_models()["default"])
    z = str(half.sum(axis=(0, 1)).argmax())
    (whole,) = exam_slices(card, "default", [str(anat.parent.parent)], ExamOptions(z))
    (of_folder,) = exam_slices(card, "default", [str(anat.parent.parent)], ExamOptions(z, strip=True))
    (of_files,) = exam_slices(card, "default", [*_words(exam, *PARTS[:4]), f"brain={mask}"], ExamOptions(z))
    whole_head, brain = ((x.images > -0.999).any(axis=0).sum() for x in (whole, of_folder))
    assert card.grid.spacing is not None
    area, voxel = brain * np.prod(card.grid.spacing), np.prod(image.header.get_zooms()[:2])
    assert area == pytest.approx(half[..., int(z)].sum() * voxel, rel=0.12)
    assert whole_head > 1.5 * brain
    np.testing.assert_array_equal(of_files.images, of_folder.images)


def test_images_that_the_model_cannot_express_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The input is a block of noise instead of a head."""
    random, files = np.random.default_rng(0), []
    for part in PARTS[:4]:
        array = np.zeros((64, 64, 20), np.int16)
        array[12:52, 10:54, 3:17] = random.integers(100, 900, (40, 44, 14))
        nib.save(nib.Nifti1Image(array, np.diag([-3.0, -3.0, 4.0, 1.0])), tmp_path / f"{part}.nii.gz")
        files.append(f"{part}={tmp_path / part}.nii.gz")
    out = tmp_path / "e.npz"
    assert main(["encode", "default", *files, "--seconds", "120", "--out", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)["images"]
    assert row["verdict"] == "beyond"
    assert "cannot express" in captured.err


def test_wrong_input_is_refused_in_one_line(
    exam: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, four = tmp_path / "e.npz", _words(exam, *PARTS[:4])
    damaged = tmp_path / "t2.nii.gz"
    damaged.write_bytes(exam["t2"].read_bytes()[:2000])
    text = tmp_path / "t1.nii.gz"
    text.write_text("no image")
    other = nib.Nifti1Image(np.asarray(nib.load(exam["t2"]).dataobj)[:-2], nib.load(exam["t2"]).affine)
    nib.save(other, tmp_path / "shorter.nii.gz")
    for words, message in (
        (four[:3], "has no flair"),
        ([*four[:2], f"t2={damaged}", four[3]], "t2"),
        ([f"t1={text}", *four[1:]], "t1"),
        ([*four[:2], f"t2={tmp_path / 'shorter.nii.gz'}", four[3]], "give --register"),
        ([*four[:3], f"flair={tmp_path / 'none.nii.gz'}"], "does not exist"),
        ([*four, f"pd={exam['t1']}"], "no 'pd'"),
        ([*four, four[0]], "given twice"),
        ([str(exam["t1"])], "t1=FILE"),
        ([str(tmp_path / "nowhere")], "is not a folder"),
        ([*four, "--slices", "99"], "has no slice 99"),
        ([*four, "--slices", "middle"], "neither auto nor a list"),
        ([*four, "--subject", "abc"], "--subject"),
        ([*four, "--condition", "grade=low"], "no condition 'grade'"),
    ):
        assert message in _refused(capsys, "encode", "default", *words, "--out", out), words
    assert ".npz" in _refused(capsys, "encode", "default", *four, "--out", tmp_path / "e.nii.gz")
    out.write_bytes(b"")
    assert "already exists" in _refused(capsys, "encode", "default", *four, "--out", out)
    assert out.read_bytes() == b""
    for path, message in ((out, "latents"), (tmp_path / "none.npz", "does not exist")):
        assert message in _refused(capsys, "sample", "default", "--latents", path, "--out", tmp_path / "s.npz")
    np.savez(tmp_path / "short.npz", latents=np.zeros((2, 3), np.float32))
    short = _refused(capsys, "sample", "default", "--latents", tmp_path / "short.npz", "--out", tmp_path / "s.npz")
    assert "3 numbers" in short
    assert "256" in short


@pytest.mark.slow
def test_a_store_is_encoded_at_the_models_size(
    small_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "m.safetensors", tmp_path / "e.npz"
    _write_small(model, small_store)
    assert "has no encoders" in _refused(capsys, "encode", model, small_store, "--out", out)
    before = load_model(model).identity
    assert main(["encoder", str(model), "--minutes", "0.02", "--json"]) == 0
    measures = json.loads(capsys.readouterr().out)
    assert measures["samples"] > 1000
    assert load_model(model).identity == before == measures["model_identity"]
    assert read_card(model).encoders["own"] == measures["own"]
    assert main(["encode", str(model), str(small_store), "--seconds", "0.2", "--out", str(out)]) == 0
    with np.load(out, allow_pickle=False) as archive:
        assert archive["images"].shape[1:] == (4, 16, 16)
        assert np.isin(archive["labels"], [0, 1, 2, 4]).all()
    assert main(["info", str(model)]) == 0
    assert "encoders" in capsys.readouterr().out


def _write_small(path: Path, store: Path) -> None:
    """An untrained model for a store of phantoms, at half their size."""
    from napari_pgan.store import open_store

    cohort = open_store(store)
    architecture = Architecture((4, 4), (8, 8, 8), 4 + 3, latent=16, labels=3)
    card = Card("small", architecture, cohort.channels, cohort.grid.at_size((16, 16)))
    torch.manual_seed(0)
    generator = Generator(architecture)
    store_mean_map(generator, 200)
    write_model(path, card, generator)


def test_encoders_learn_conditions_and_a_model_without_labels_has_one_encoder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_pgan.model import Condition

    conditions = (Condition("grade", levels=("low", "high")), Condition("position", range=(0.0, 10.0)))
    architecture = Architecture((4, 4), (8, 8), 1, latent=6, conditions=3)
    path = tmp_path / "conditioned.safetensors"
    write_model(path, Card("conditioned", architecture, Channels(("t1",)), Grid((8, 8)), conditions=conditions),
                Generator(architecture))  # fmt: skip
    assert main(["encoder", str(path), "--minutes", "0.01"]) == 0
    encoders = load_model(path).encoders
    assert encoders is not None
    assert encoders.labels is None
    folder = tmp_path / "no-millimetres"
    folder.mkdir()
    shutil.copy(path, folder)
    assert "give a prepared store" in _refused(
        capsys, "encode", path, f"t1={folder}", "--condition", "grade=low", "--condition", "position=1", "--out",
        tmp_path / "e.npz",
    )  # fmt: skip


def test_volumes_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    architecture = Architecture((4, 4, 4), (4, 4), 2, latent=6, labels=1)
    channels = Channels(("t1",), (Label(1, "lesion", "#ff0000"),))
    path = tmp_path / "v.safetensors"
    write_model(path, Card("v", architecture, channels, Grid((8, 8, 8))), Generator(architecture))
    assert "volumes" in _refused(capsys, "encode", path, "t1=x.nii.gz", "--out", tmp_path / "e.npz")
