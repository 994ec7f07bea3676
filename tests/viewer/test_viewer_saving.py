"""Layers and results as files that nibabel reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.model import Model, load_model
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, batch_layers
from napari_pgan.viewer.save import files_of, save_layers, save_sample, split_path
from napari_pgan.viewer.session import LatentSource, SampleRequest, SampleResult, Settings


def shown(model: Model, seed: int = 7, count: int = 1, latents: np.ndarray | None = None) -> SampleResult:
    request = SampleRequest(model, LatentSource(seed, latents), Settings(count=count, truncation=0.8))
    return SampleResult(request, request.run())


def layers_of(result: SampleResult) -> list[LayerTuple]:
    return batch_layers(result.batch, result.request.model, result.request.seeds)


def voxels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("a/b.nii.gz", ("a", "b")), ("a/b.c.nii", ("a", "b.c")), ("a/b", ("a", "b")), (".nii.gz", (".", ".nii.gz"))],
)
def test_names_begin_with_the_stem(given: str, expected: tuple[str, str]) -> None:
    folder, stem = split_path(given)
    assert (str(folder), stem) == expected


def test_layers_come_back_from_nifti_where_the_patient_has_them(model: Model, tmp_path: Path) -> None:
    result = shown(model)
    written = save_layers(tmp_path / "x.nii.gz", layers_of(result))
    assert [p.name for p in written] == [
        "x_t1.nii.gz", "x_t1ce.nii.gz", "x_t2.nii.gz", "x_flair.nii.gz", "x_seg.nii.gz", "x.json",
    ]  # fmt: skip
    for path, image in zip(written, [*result.batch.images[0], result.batch.labels[0]], strict=False):
        np.testing.assert_array_equal(voxels(path)[:, :, 0].T, image)  # NIfTI counts x first
    affine = nib.load(written[0]).affine
    np.testing.assert_array_equal(affine, nib.load(written[4]).affine)
    assert nib.aff2axcodes(affine)[:2] == ("L", "P")  # x grows to the left, y to the back
    np.testing.assert_allclose(np.abs(np.diag(affine)), (2.0, 3.0, 1.5, 1.0))
    np.testing.assert_allclose(affine @ (7.5, 7.5, 0, 1), (0, 0, 0, 1), atol=1e-9)  # the middle is at 0


def test_the_sidecar_makes_the_image_again(model: Model, tmp_path: Path) -> None:
    *_, sidecar = save_layers(tmp_path / "x", layers_of(shown(model, seed=11)))
    about = json.loads(sidecar.read_text())
    assert about["limits"] == "Synthetic images, not for diagnosis."
    made = about["provenance"]
    assert (made["seed"], made["truncation"], made["model_identity"]) == (11, 0.8, model.identity)
    assert made["edited_by_hand"] == []
    again = model.sample(latents=np.array([made["latent"]], np.float32), truncation=made["truncation"])
    np.testing.assert_allclose(voxels(tmp_path / "x_t2.nii.gz")[:, :, 0].T, again.images[0, 2], atol=1e-4)


def test_a_layer_alone(model: Model, tmp_path: Path) -> None:
    layers = layers_of(shown(model))
    assert [p.name for p in save_layers(tmp_path / "a", layers[2:3])] == ["a_t2.nii.gz", "a.json"]
    assert [p.name for p in save_layers(tmp_path / "b", layers[-1:])] == ["b_seg.nii.gz", "b.json"]
    assert json.loads((tmp_path / "b.json").read_text())["channels"]["labels"][2]["value"] == 4


def test_what_was_drawn_is_saved_and_said(model: Model, tmp_path: Path) -> None:
    layers = layers_of(shown(model))
    labels, options, kind = layers[-1]
    labels = np.where(labels == 2, 1, 2).astype(np.uint8)
    *_, sidecar = save_layers(tmp_path / "x", [*layers[:-1], (labels, options, kind)])
    np.testing.assert_array_equal(voxels(tmp_path / "x_seg.nii.gz")[:, :, 0].T, labels)
    assert json.loads(sidecar.read_text())["provenance"]["edited_by_hand"] == ["synthetic segmentation"]


def test_several_samples_are_named_by_their_seeds(model: Model, tmp_path: Path) -> None:
    result = shown(model, count=3)
    by_layers = save_layers(tmp_path / "l" / "x", layers_of(result))
    by_result = save_sample(result, tmp_path / "r" / "x")
    assert [p.name for p in by_layers] == [p.name for p in by_result]
    assert "x_seed8_flair.nii.gz" in [p.name for p in by_result]
    assert files_of(result, tmp_path / "r" / "x") == by_result
    np.testing.assert_array_equal(voxels(tmp_path / "r" / "x_seed8_flair.nii.gz")[:, :, 0].T, result.batch.images[1, 3])
    np.testing.assert_array_equal(voxels(tmp_path / "l" / "x_seed8_flair.nii.gz")[:, :, 0].T, result.batch.images[1, 3])


def test_latents_without_a_seed_are_counted(model: Model, tmp_path: Path) -> None:
    result = shown(model, latents=model.latents([1, 2]) / 2)
    names = [p.name for p in save_sample(result, tmp_path / "x")]
    assert names[0] == "x_000_t1.nii.gz"
    assert json.loads((tmp_path / "x_001.json").read_text())["provenance"]["seed"] is None


def test_colour_is_taken_apart(fundus_file: Path, tmp_path: Path) -> None:
    result = shown(load_model(fundus_file))
    written = save_layers(tmp_path / "x", layers_of(result))
    assert [p.name for p in written[:3]] == ["x_red.nii.gz", "x_green.nii.gz", "x_blue.nii.gz"]
    np.testing.assert_allclose(voxels(written[1])[:, :, 0].T, result.batch.images[0, 1], atol=1e-6)


def test_refusals_are_sentences_and_write_nothing(model: Model, tmp_path: Path) -> None:
    layers = layers_of(shown(model))
    foreign = (np.zeros((4, 4)), {"name": "mine"}, "image")
    with pytest.raises(InputError, match="'mine' is not from this plugin"):
        save_layers(tmp_path / "x", [*layers, foreign])
    with pytest.raises(InputError, match="different result"):
        save_layers(tmp_path / "x", [layers[0], layers_of(shown(model, seed=8))[1]])
    with pytest.raises(InputError, match="second segmentation"):
        save_layers(tmp_path / "x", [layers[-1], layers[-1]])
    cropped = (layers[0][0][:8], *layers[0][1:])
    with pytest.raises(InputError, match="has the shape"):
        save_layers(tmp_path / "x", [cropped])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_a_sentence(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_layers(tmp_path / "file" / "x", layers_of(shown(model)))


def test_the_metadata_is_plain(model: Model) -> None:
    about: dict[str, Any] = layers_of(shown(model))[0][1]["metadata"][METADATA_KEY]
    assert json.loads(json.dumps(about)) == about
    assert os.linesep not in about["slot"]
