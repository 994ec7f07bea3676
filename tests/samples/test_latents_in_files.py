"""Latents in a file reproduce their images with the same model only."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Batch, Card, Condition, Generator, Model
from napari_pgan.model.refit import store_mean_map
from napari_pgan.samples import SampleSet, read_latents, write_npz, write_samples
from napari_pgan.schema import Channels, Grid, Label

CHANNELS = Channels(("t1", "flair"), (Label(1, "core", "#4daf4a"),))


def small(seed: int = 0, conditions: tuple[Condition, ...] = ()) -> Model:
    """Return an untrained model of 16 pixels a side and three stages."""
    torch.manual_seed(seed)
    architecture = Architecture((4, 4), (8, 6, 4), 3, latent=6, conditions=sum(c.size for c in conditions))
    generator = Generator(architecture)
    store_mean_map(generator, 100)
    return Model(Card("small", architecture, CHANNELS, Grid((16, 16)), conditions=conditions), generator)


@pytest.fixture(scope="module")
def model() -> Model:
    return small()


def refined(model: Model, count: int = 11) -> Batch:
    """More samples than one batch; every second one has offsets at two stages."""
    random = np.random.default_rng(3)
    offsets = [random.normal(size=(count, 8, 4, 4)), random.normal(size=(count, 6, 8, 8))]
    for offset in offsets:
        offset[::2] = 0
    return model.sample(seeds=range(count), offsets=[offset.astype(np.float32) for offset in offsets])


def test_refined_images_are_reproduced_bit_for_bit(model: Model, tmp_path: Path) -> None:
    batch = refined(model)
    assert batch.refined.tolist() == [n % 2 == 1 for n in range(11)]
    assert np.abs(batch.images - model.sample(seeds=range(11)).images).max() > 0.05
    write_npz(tmp_path / "a.npz", batch, model)
    saved = read_latents(tmp_path / "a.npz", model)
    order = SampleSet.of_latents(model, saved.latents, offsets=saved.offsets)
    assert order.refined == 5
    write_samples(order, tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as first, np.load(tmp_path / "b.npz") as second:
        assert sorted(first.files) == sorted(second.files)
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])
    few = saved.first(3)
    np.testing.assert_allclose(
        model.sample(latents=few.latents, offsets=few.offsets).images, batch.images[:3], atol=1e-5
    )
    part = batch.part(slice(1, 3))
    np.testing.assert_array_equal(part.offsets[1], batch.offsets[1][1:3])
    np.testing.assert_array_equal(part.images, batch.images[1:3])


def test_truncation_moves_refined_images_to_the_mean_image(model: Model) -> None:
    batch = refined(model)

    def spread(truncation: float) -> float:
        images = model.sample(latents=batch.latents, offsets=batch.offsets, truncation=truncation).images
        return float(images.std(axis=0).mean())

    assert spread(0) < 1e-6 < spread(0.3) < spread(0.6) < spread(1)
    mean = model.sample(seeds=[0], truncation=0).images
    np.testing.assert_allclose(
        model.sample(latents=batch.latents[1:2], offsets=[part[1:2] for part in batch.offsets], truncation=0).images,
        mean,
        atol=1e-6,
    )
    small_ones = model.sample(latents=batch.latents, offsets=batch.offsets, stage=0).images
    assert small_ones.shape == (11, 2, 4, 4)  # offsets of later stages are not used


def test_different_samples_have_different_fingerprints(model: Model) -> None:
    batch = refined(model)
    with_offsets = SampleSet.of_latents(model, batch.latents, offsets=batch.offsets)
    assert with_offsets.fingerprint != SampleSet.of_latents(model, batch.latents).fingerprint
    other = [2 * part for part in batch.offsets]
    assert with_offsets.fingerprint != SampleSet.of_latents(model, batch.latents, offsets=other).fingerprint
    with pytest.raises(InputError, match="offsets of shapes"):
        SampleSet.of_latents(model, batch.latents, offsets=batch.offsets[1:])


def test_conditions_are_saved(tmp_path: Path) -> None:
    conditioned = small(
        conditions=(Condition("grade", levels=("low", "high")), Condition("position", range=(0.0, 10.0)))
    )
    batch = conditioned.sample(seeds=[4], conditions={"grade": "high", "position": 2.5})
    write_npz(tmp_path / "conditioned.npz", batch, conditioned)
    saved = read_latents(tmp_path / "conditioned.npz", conditioned)
    assert saved.conditions == {"grade": "high", "position": 2.5}
    np.testing.assert_array_equal(
        conditioned.sample(latents=saved.latents, conditions=saved.conditions).images, batch.images
    )


def test_truncated_images_are_reproduced(model: Model, tmp_path: Path) -> None:
    batch = model.sample(seeds=range(4), truncation=0.5)
    write_npz(tmp_path / "a.npz", batch, model)
    saved = read_latents(tmp_path / "a.npz", model)
    assert saved.truncation is not None
    write_samples(SampleSet.of_latents(model, saved.latents, saved.truncation), tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as again:
        np.testing.assert_allclose(again["images"], batch.images, atol=1e-5)
        np.testing.assert_array_equal(again["truncation"], saved.truncation)
    each = np.array([0.0, 0.3, 0.3, 1.0])  # as on a walk
    write_samples(SampleSet.of_latents(model, saved.latents, each), tmp_path / "c.npz")
    few = read_latents(tmp_path / "c.npz", model).first(3)
    np.testing.assert_array_equal(few.truncation, each[:3])
    write_npz(tmp_path / "whole.npz", model.sample(seeds=[1]), model)
    assert read_latents(tmp_path / "whole.npz", model).truncation is None


def test_a_damaged_archive_gives_an_error_or_the_latents(model: Model, tmp_path: Path) -> None:
    path, refused = tmp_path / "a.npz", 0
    np.savez_compressed(path, latents=np.random.default_rng(0).normal(size=(3, 6)))
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with warnings.catch_warnings(action="ignore"):
            try:
                assert read_latents(path, model).latents.shape == (3, 6)
            except InputError:
                refused += 1
    assert refused > len(whole) / 2


def test_latents_of_another_model_are_refused_by_its_identity(model: Model, tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", refined(model), model)
    other = small(seed=1)  # of the same shape
    with pytest.raises(InputError, match="latents of another model") as refusal:
        read_latents(tmp_path / "a.npz", other)
    assert model.identity[:12] in str(refusal.value)
    assert other.identity[:12] in str(refusal.value)
    assert str(refusal.value).count(".") <= 2  # one sentence (and the file's ending)


def test_latents_written_by_other_programs_are_accepted_if_they_fit(model: Model, tmp_path: Path) -> None:
    latents = np.random.default_rng(0).normal(size=(3, 6))
    np.savez(tmp_path / "own.npz", latents=latents)
    np.testing.assert_array_equal(read_latents(tmp_path / "own.npz", model).latents, latents.astype(np.float32))
    wrong = {
        "short": ({"latents": latents[:, :4]}, "4 numbers.*6"),
        "none": ({"images": latents}, "contains no latents"),
        "words": ({"latents": np.array([["a", "b"]])}, "not a table"),
        "endless": ({"latents": np.full((1, 6), np.inf)}, "not a table"),
        "offset": ({"latents": latents, "offset_0": np.zeros((3, 8, 5, 5))}, "offsets of shapes"),
        "endless offset": (
            {"latents": latents, "offset_0": np.full((3, 8, 4, 4), np.nan, np.float32)},
            "offsets contain numbers that are not finite",
        ),
        "cut": ({"latents": latents, "truncation": np.array([0.5, 0.5, np.nan])}, "from 0 to 1 for each"),
        "cut short": ({"latents": latents, "truncation": np.array([0.5])}, "from 0 to 1 for each"),
        "gap": ({"latents": latents, "offset_1": np.zeros((3, 6, 8, 8))}, "contains no latents"),
        "objects": ({"latents": np.array([{}], dtype=object)}, "contains no latents"),
    }
    for name, (arrays, message) in wrong.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(InputError, match=message) as refusal:
            read_latents(tmp_path / f"{name}.npz", model)
        assert f"{name}.npz" in str(refusal.value)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "own.npz").read_bytes()[:100])
    with pytest.raises(InputError, match="contains no latents"):
        read_latents(tmp_path / "torn.npz", model)
    np.save(tmp_path / "bare.npy", latents)
    with pytest.raises(InputError, match="contains no latents"):
        read_latents(tmp_path / "bare.npy", model)
    with pytest.raises(InputError, match="does not exist"):
        read_latents(tmp_path / "nowhere.npz", model)
