"""Offsets reach targets that latents miss, within their strength, and locked regions do not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pgan.errors import InputError
from napari_pgan.latent.steering import Bank, Candidates, Preserve, TargetMask, make_bank, moved, refine, steer
from napari_pgan.latent.steering.preserve import total_loss
from napari_pgan.latent.steering.refine import refined_stages
from napari_pgan.latent.steering.search import Phase
from napari_pgan.model import Model, load_model

SHORT = (Phase(0, 10, 1),)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("default")


@pytest.fixture(scope="module")
def bank(model: Model) -> Bank:
    return make_bank(model, 128)


@pytest.fixture(scope="module")
def seed(model: Model) -> int:
    """Seed of a sample whose lesion has three labels."""
    labels = model.sample(seeds=range(30), batch_size=32).labels
    return int(np.argmax([min((one == v).sum() for v in model.card.channels.values) for one in labels]))


def shifted(model: Model, seed: int) -> TargetMask:
    labels = model.sample(seeds=[seed]).labels[0]
    return TargetMask.of(moved(labels, 6, 0), model.card.channels, model.card.grid)


def largest_share(model: Model, found: Candidates) -> float:
    """Return the largest ratio of offsets to the features that they are added to."""
    features = model.features(torch.from_numpy(found.latents), len(found.offsets) - 1)
    pairs = zip(found.offsets, features, strict=True)
    return max(float((rms(offset) / rms(feature)).max()) for offset, feature in pairs)


def rms(x: torch.Tensor) -> torch.Tensor:
    return x.square().mean((1, 2, 3)).sqrt()


def test_refining_continues_from_the_candidates(model: Model, bank: Bank, seed: int) -> None:
    target = shifted(model, seed)
    *_, found = steer(model, target, bank, candidates=2, phases=SHORT)
    *_, refined = refine(model, target, found, strength=0.2, steps=15)
    assert refined.scores[0] > found.scores[0]
    np.testing.assert_array_equal(np.sort(refined.latents, axis=0), np.sort(found.latents, axis=0))
    made = model.sample(latents=refined.latents, offsets=refined.offsets)
    np.testing.assert_array_equal(made.labels, refined.labels)
    np.testing.assert_allclose(target.score(made.labels), refined.scores)
    assert largest_share(model, refined) <= 0.2 + 1e-5
    assert refined.moved is not None
    assert refined.moved.max() < 0.1
    *_, again = refine(model, target, refined, strength=0.2, steps=5)
    assert again.scores[0] >= refined.scores[0]
    assert largest_share(model, refined) > 0.05
    for weaker in refine(model, target, refined, strength=0.05, steps=5):
        assert largest_share(model, weaker) <= 0.05 + 1e-5


def test_without_strength_nothing_moves(model: Model, bank: Bank, seed: int) -> None:
    target = shifted(model, seed)
    *_, found = steer(model, target, bank, candidates=2, phases=SHORT)
    *_, same = refine(model, target, found, strength=0.0, steps=5)
    np.testing.assert_array_equal(same.labels, found.labels)


def test_features_beyond_sixteen_pixels_stay(model: Model) -> None:
    assert [model.card.architecture.shape(stage)[0] for stage in refined_stages(model)] == [4, 8, 16]


def test_offsets_of_another_model_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="offsets of shapes"):
        model.sample(seeds=[0], offsets=[torch.zeros(1, 3, 4, 4)])
    np.testing.assert_array_equal(
        model.sample(seeds=[0], offsets=[torch.zeros_like(x) for x in model.features(torch.zeros(1, 256), 1)]).images,
        model.sample(seeds=[0]).images,
    )


def test_with_a_lock_only_the_lesion_changes(model: Model, bank: Bank, seed: int) -> None:
    target, latent = shifted(model, seed), model.latents([seed])
    before = model.sample(latents=latent)
    where = (before.labels == 0) & (target.labels == 0)
    preserve = Preserve.of(model, latent, where)
    *_, locked = steer(model, target, bank, candidates=2, phases=SHORT, preserve=preserve)
    *_, free = steer(model, target, bank, candidates=2, phases=SHORT)
    assert locked.moved is not None
    assert locked.scores.max() > target.score(before.labels)[0]
    images = model.sample(latents=locked.latents).images
    np.testing.assert_allclose(preserve.moved(images), locked.moved, atol=1e-6)
    assert locked.moved[0] < preserve.moved(model.sample(latents=free.latents).images).min() * 0.7
    *_, refined = refine(model, target, locked, steps=40, preserve=preserve)
    assert refined.moved is not None
    assert refined.moved[0] < 0.03
    assert refined.scores[0] > 0.7


def test_with_a_lock_a_lesion_moves_where_no_gradient_leads(model: Model, bank: Bank) -> None:
    lesions = model.sample(seeds=range(30), batch_size=32).labels > 0
    lopsided = [abs(int(x[:, :32].sum()) - int(x[:, 32:].sum())) for x in lesions]
    latent = model.latents([int(np.argmax(lopsided))])
    before = model.sample(latents=latent).labels
    target = TargetMask.of(before[0][:, ::-1], model.card.channels, model.card.grid)  # in the other hemisphere
    assert target.score(before)[0] < 0.3
    where = (before == 0) & (target.labels == 0)
    *_, locked = steer(model, target, bank, candidates=2, phases=SHORT, preserve=Preserve.of(model, latent, where))
    assert locked.scores[0] > 0.4


def test_the_lock_loss_is_0_for_unchanged_images_and_ignores_changes_elsewhere(model: Model, seed: int) -> None:
    latent = model.latents([seed])
    where = np.zeros((1, *model.card.grid.shape), bool)
    where[:, 20:40, 20:40] = True
    preserve = Preserve.of(model, latent, where, ["t1"])
    x = model.generate(torch.from_numpy(latent)).clamp(-1, 1)
    stay = preserve.objective(model.encoding)
    assert float(stay(x)) == pytest.approx(0, abs=1e-6)
    other = torch.where(torch.from_numpy(where)[:, None], x, torch.zeros_like(x))
    other[:, 1:] = 0  # other modalities
    assert float(stay(other)) == pytest.approx(0, abs=1e-6)
    assert float(stay(x + 0.5)) > 0.05
    np.testing.assert_allclose(preserve.moved(x[:, :4].numpy() + 0.5), 0.25, atol=1e-3)
    with pytest.raises(InputError, match="mark a region"):
        Preserve.of(model, latent, np.zeros_like(where))
    with pytest.raises(InputError, match="no modality 'ct'"):
        Preserve.of(model, latent, where, ["ct"])
    target = shifted(model, seed)
    assert total_loss(model, target, preserve, model.stages - 1)(x) == pytest.approx(
        float(target.objective(model.encoding)(x))
    )
