"""The public class Model: sampling, conditions and gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Card, Condition, Generator, Model
from napari_pgan.model.refit import mean_map, store_mean_map
from napari_pgan.schema import Channels, Grid


def test_a_batch_has_the_documented_fields(small_model: Model) -> None:
    batch = small_model.sample(seeds=[3, 1, 4])
    assert len(batch) == 3
    assert batch.images.shape == (3, 4, 16, 20)
    assert batch.images.dtype == np.float32
    assert np.abs(batch.images).max() <= 1
    assert batch.labels.shape == (3, 16, 20)
    assert batch.labels.dtype == np.uint8
    assert not small_model.card.channels.undeclared(batch.labels)
    assert batch.probabilities.shape == (3, 3, 16, 20)
    assert batch.probabilities.min() >= 0
    assert batch.probabilities.max() <= 1
    assert batch.grid == small_model.card.grid
    np.testing.assert_array_equal(batch.latents, small_model.latents([3, 1, 4]))


def test_labels_are_the_most_probable_ones(small_model: Model) -> None:
    batch = small_model.sample(seeds=range(4))
    best = batch.probabilities.max(1)
    for channel, value in enumerate(small_model.card.channels.values):
        chosen = batch.labels == value
        assert (batch.probabilities[:, channel][chosen] == best[chosen]).all()
    np.testing.assert_array_equal(batch.labels > 0, best > 0.5)


def test_the_same_seeds_give_the_same_bytes(small_model: Model) -> None:
    one, two = small_model.sample(seeds=range(5)), small_model.sample(seeds=range(5))
    assert one.images.tobytes() == two.images.tobytes()
    assert one.labels.tobytes() == two.labels.tobytes()


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_the_batch_size_changes_images_by_rounding_only(small_model: Model, batch_size: int) -> None:
    one, other = small_model.sample(seeds=range(12)), small_model.sample(seeds=range(12), batch_size=batch_size)
    np.testing.assert_allclose(one.images, other.images, rtol=0, atol=1e-4)
    assert (one.labels == other.labels).mean() >= 0.999


def test_bf16_is_accurate_to_two_digits_and_does_not_change_float32(small_model: Model) -> None:
    exact = small_model.sample(seeds=range(6))
    coarse = small_model.sample(seeds=range(6), precision="bf16")
    assert coarse.images.dtype == np.float32
    assert 0 < np.abs(coarse.images - exact.images).mean() < 0.02
    assert (coarse.labels == exact.labels).mean() > 0.97
    assert small_model.sample(seeds=range(6)).images.tobytes() == exact.images.tobytes()
    with pytest.raises(InputError, match="float32 or bf16"):
        small_model.sample(seeds=[1], precision="half")  # type: ignore[arg-type]


def test_seeds_and_their_latents_are_the_same_request(small_model: Model) -> None:
    z = small_model.latents([5, 6])
    assert small_model.sample(seeds=[5, 6]).images.tobytes() == small_model.sample(latents=z).images.tobytes()


def test_truncation_0_gives_the_same_image_for_every_seed(small_model: Model) -> None:
    images = small_model.sample(seeds=range(6), truncation=0).images
    np.testing.assert_allclose(images, np.broadcast_to(images[:1], images.shape), rtol=0, atol=1e-5)


def test_variety_falls_monotonically_with_truncation(small_model: Model) -> None:
    variety = [small_model.sample(seeds=range(64), truncation=t).images.std(0).mean() for t in np.linspace(0, 1, 6)]
    assert all(a < b for a, b in zip(variety, variety[1:], strict=False))  # noqa: RUF007


def test_scaling_the_latent_does_not_change_the_image(small_model: Model) -> None:
    z = small_model.latents(range(3))
    np.testing.assert_allclose(
        small_model.sample(latents=z).images, small_model.sample(latents=0.3 * z).images, rtol=0, atol=1e-4
    )


def test_the_mean_map_is_the_mean_of_first_maps(small_model: Model) -> None:
    z = np.random.default_rng(0).standard_normal((20_000, 12)).astype(np.float32)
    first = small_model.generator.first_map(torch.from_numpy(z))
    error = (first.mean(0) - small_model.generator.mean_map).abs()
    assert error.max() < 6 * first.std(0).max() / 2000**0.5


def test_a_lower_stage_shows_a_smaller_image_of_the_same_field(small_model: Model) -> None:
    batch = small_model.sample(seeds=[0], stage=1)
    assert batch.images.shape == (1, 4, 8, 10)
    assert batch.grid.spacing == (4.0, 4.0)
    assert small_model.sample(seeds=[0], stage=small_model.stages - 1).images.shape == (1, 4, 16, 20)


def test_no_seeds_give_an_empty_batch(small_model: Model) -> None:
    batch = small_model.sample(seeds=[])
    assert len(batch) == 0
    assert batch.images.shape == (0, 4, 16, 20)


def test_progress_is_reported_after_each_batch(small_model: Model) -> None:
    reported: list[tuple[int, int]] = []
    small_model.sample(seeds=range(5), batch_size=2, progress=lambda done, all_: reported.append((done, all_)))
    assert reported == [(2, 5), (4, 5), (5, 5)]


def test_sampling_has_no_side_effects(small_model: Model) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    flags = (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic)
    small_model.sample(seeds=range(3), truncation=0.5)
    torch.testing.assert_close(torch.rand(3), expected)
    assert flags == (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("truncation", [1.0, 0.6])
def test_the_gradient_of_generate_agrees_with_finite_differences(truncation: float) -> None:
    a = Architecture((2, 3), (5, 4), 3, latent=4)
    torch.manual_seed(0)
    generator = Generator(a).double()
    store_mean_map(generator.float(), 100)
    model = Model(Card("tiny", a, Channels(("a", "b", "c")), Grid((4, 6))), generator.double())
    z = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: model.generate(x, truncation=truncation), (z,), eps=1e-6, atol=1e-6)


def test_a_latent_can_be_optimised_towards_an_image(small_model: Model) -> None:
    target = small_model.generate(torch.from_numpy(small_model.latents([7])), stage=1)
    z = torch.from_numpy(small_model.latents([8])).requires_grad_()
    optimizer, errors = torch.optim.Adam([z], lr=0.1), []
    for _ in range(60):
        error = (small_model.generate(z, stage=1) - target).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either seeds or latents"),
        ({"seeds": [0], "latents": np.zeros((1, 12))}, "either seeds or latents"),
        ({"latents": np.zeros((1, 11))}, r"takes \(N, 12\)"),
        ({"latents": np.zeros(12)}, r"takes \(N, 12\)"),
        ({"latents": np.full((1, 12), np.nan)}, "finite"),
        ({"seeds": [-1]}, "seed -1"),
        ({"seeds": [0], "stage": 3}, "stage 3 does not exist"),
        ({"seeds": [0], "stage": -1}, "stage -1 does not exist"),
        ({"seeds": [0], "truncation": 1.5}, "truncation 1.5"),
        ({"seeds": [0], "truncation": float("nan")}, "truncation nan"),
        ({"seeds": [0], "conditions": {"grade": "low"}}, "no condition 'grade'"),
    ],
)
def test_unknown_options_of_the_model_are_refused(small_model: Model, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        small_model.sample(**options)


@pytest.fixture(scope="module")
def conditioned() -> Model:
    """A model with the conditions grade and position."""
    a = Architecture((4, 4), (8, 8), 1, latent=6, conditions=3)
    torch.manual_seed(0)
    generator = Generator(a)
    conditions = (Condition("grade", levels=("low", "high")), Condition("position", range=(10.0, 20.0)))
    return Model(Card("conditioned", a, Channels(("t1",)), Grid((8, 8)), conditions=conditions), generator)


def test_a_condition_changes_the_image_and_its_mean(conditioned: Model) -> None:
    low, high = ({"grade": grade, "position": 15} for grade in ("low", "high"))
    assert np.abs(
        conditioned.sample(seeds=[0], conditions=low).images - conditioned.sample(seeds=[0], conditions=high).images
    ).max()
    means = [conditioned.sample(seeds=[0], conditions=c, truncation=0).images for c in (low, high)]
    assert np.abs(means[0] - means[1]).max() > 1e-3
    row = torch.tensor([1.0, 0.0, 0.0])  # grade low, position in the middle of its range
    expected = conditioned.generator.synthesize(mean_map(conditioned.generator, row)[None]).clamp(-1, 1)
    np.testing.assert_allclose(means[0], expected.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (None, "needs a value for grade, position"),
        ({"grade": "low"}, "needs a value for position"),
        ({"grade": "middle", "position": 15}, "one of low, high"),
        ({"grade": "low", "position": 9}, "from 10 to 20"),
        ({"grade": "low", "position": "far"}, "from 10 to 20"),
    ],
)
def test_wrong_conditions_are_refused(
    conditioned: Model, conditions: Mapping[str, str | float] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        conditioned.sample(seeds=[0], conditions=conditions)
