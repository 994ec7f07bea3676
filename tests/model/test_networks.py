"""Generator and critic: sizes on any base grid, fade-in, gradients."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.errors import InputError
from napari_pgan.model import Architecture, Critic, Generator
from napari_pgan.model.layers import down, leaky, smoothed, up

GRIDS = [(4, 4), (5, 6), (3, 7), (1, 2), (4, 4, 4), (2, 3, 5)]


def _latents(a: Architecture, count: int = 3) -> torch.Tensor:
    return torch.randn(count, a.latent, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def _generator(a: Architecture) -> Generator:
    torch.manual_seed(1)
    return Generator(a).double()


@pytest.mark.parametrize("base", GRIDS)
def test_every_stage_doubles_the_base_grid(base: tuple[int, ...]) -> None:
    a = Architecture(base, (6, 5, 4), 3, latent=7)
    generator, critic = _generator(a), Critic(a).double()
    for stage in range(3):
        x = generator(_latents(a), stage, 0.5)
        assert x.shape == (3, 3, *(n * 2**stage for n in base)) == (3, 3, *a.shape(stage))
        score = critic(x, stage, 0.5)
        assert score.shape == (3,)
        gradients = torch.autograd.grad(score.sum(), [*generator.dense.parameters()])
        assert all(g.abs().max() > 0 for g in gradients)


@pytest.mark.parametrize("base", [(4, 5), (2, 3, 2)])
def test_a_stage_fades_in_from_the_upsampled_stage_below(base: tuple[int, ...]) -> None:
    a = Architecture(base, (6, 5, 4), 3, latent=7)
    generator, z = _generator(a), _latents(Architecture(base, (6, 5, 4), 3, latent=7))
    for stage in (1, 2):
        below, whole = up(generator(z, stage - 1)), generator(z, stage)
        torch.testing.assert_close(generator(z, stage, 0.0), below)
        torch.testing.assert_close(generator(z, stage, 1.0), whole)
        torch.testing.assert_close(generator(z, stage, 0.25), 0.75 * below + 0.25 * whole)


@pytest.mark.parametrize("base", [(4, 5), (2, 3, 2)])
def test_the_critic_fades_in_from_the_downsampled_image(base: tuple[int, ...]) -> None:
    a = Architecture(base, (6, 5, 4), 3, latent=7)
    torch.manual_seed(0)
    critic = Critic(a).double()
    x = torch.randn(4, 3, *a.shape(2), dtype=torch.float64)
    torch.testing.assert_close(critic(x, 2, 0.0), critic(down(x), 1))
    # features, not scores, are blended, at the output of the first block
    old = leaky(critic.tails[1](down(x)))
    new = critic.blocks[1](leaky(critic.tails[2](x)))
    assert old.shape == new.shape
    assert not torch.allclose(critic(x, 2, 0.5), (critic(x, 2, 0.0) + critic(x, 2, 1.0)) / 2)


def test_at_alpha_0_the_new_stage_gets_no_gradient_and_at_alpha_1_the_old_head_gets_none() -> None:
    a = Architecture((4, 4), (6, 5), 3, latent=7)
    generator, z = _generator(a), _latents(Architecture((4, 4), (6, 5), 3, latent=7))
    new, old = generator.heads[1].weight, generator.heads[0].weight
    for alpha, (new_moves, old_moves) in {0.0: (False, True), 0.5: (True, True), 1.0: (True, False)}.items():
        generator.zero_grad(set_to_none=True)
        generator(z, 1, alpha).square().sum().backward()
        for weight, moves in ((new, new_moves), (old, old_moves)):
            assert (weight.grad is not None and bool(weight.grad.abs().max() > 0)) == moves


def test_the_length_of_a_latent_matters_only_without_normalisation() -> None:
    for sphere in (True, False):
        a = Architecture((4, 4), (6, 5), 3, latent=7, sphere=sphere, pixelnorm=False)
        generator, z = _generator(a), _latents(a)
        assert torch.allclose(generator(z), generator(3 * z)) == sphere


def test_features_start_at_unit_scale() -> None:
    a = Architecture((4, 4), (64, 64, 64), 3, latent=64)
    torch.manual_seed(0)
    generator = Generator(a)
    with torch.no_grad():
        every = generator.features(generator.first_map(torch.randn(64, 64)), 2)
        images = generator(torch.randn(64, 64))
    for x in every:
        assert x.square().mean().item() == pytest.approx(1.0, rel=0.01)
    assert 0.5 < images.std().item() < 2.0


def test_conditions_are_inputs_of_the_generator_and_the_critic() -> None:
    a = Architecture((4, 4), (6, 5), 3, latent=7, conditions=2)
    generator, critic, z = _generator(a), Critic(a).double(), _latents(a)
    one, two = torch.zeros(3, 2, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    x = generator(z, conditions=one)
    assert not torch.allclose(x, generator(z, conditions=two))
    assert not torch.allclose(critic(x, 1, conditions=one), critic(x, 1, conditions=two))
    with pytest.raises(ValueError, match="conditions"):
        generator(z)
    with pytest.raises(ValueError, match="conditions"):
        critic(x, 1)


def test_an_architecture_round_trips_through_json() -> None:
    a = Architecture((5, 6), (8, 4), 7, latent=9, conditions=1, sphere=False, stddev_group=0)
    assert Architecture.from_dict(a.to_dict()) == a
    assert (a.dimensions, a.stages, a.shape(1)) == (2, 2, (10, 12))


@pytest.mark.parametrize(
    ("base", "widths", "channels"),
    [((4,), (8,), 1), ((0, 4), (8,), 1), ((4, 4), (), 1), ((4, 4), (8, 0), 1), ((4, 4), (8,), 0)],
)
def test_impossible_networks_are_refused(base: tuple[int, ...], widths: tuple[int, ...], channels: int) -> None:
    with pytest.raises(InputError):
        Architecture(base, widths, channels)


def test_label_features_affect_labels_only() -> None:
    a = Architecture((4, 4), (16, 16, 12), 5, latent=8, labels=2, label_share=0.25)
    generator = Generator(a)
    assert a.parts(2) == [(slice(0, 9), slice(0, 3)), (slice(9, 12), slice(3, 5))]
    features = torch.randn(2, 12, 16, 16)
    other = features.clone()
    other[:, 9:] += torch.randn(2, 3, 16, 16)
    before, after = generator.heads[2](features), generator.heads[2](other)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])
    lit = features.clone()
    lit[:, :9] += torch.randn(2, 9, 16, 16)
    assert not torch.allclose(generator.heads[2](lit)[:, 3:], before[:, 3:])  # labels depend on all features
    own = generator.features(generator.first_map(torch.randn(4, 8)), 2)[2]
    for part in (own[:, :9], own[:, 9:]):  # each part is normalised separately
        torch.testing.assert_close(part.square().mean(1), torch.ones(4, 16, 16), atol=1e-4, rtol=0)


def test_a_smooth_generator_shows_no_blocks_of_repeated_pixels() -> None:
    torch.manual_seed(0)
    steps = {}
    for smooth in (False, True):
        block = Generator(Architecture((4, 4), (16, 16), 3, latent=8, smooth=smooth)).blocks[0]
        with torch.no_grad():
            block.grow.weight.zero_()
            block.grow.weight[:, :, 1, 1] = torch.randn(16, 16)
            x = block.grow(torch.randn(4, 16, 8, 8))
            x = smoothed(x) if block.smooth else x
        within, between = (x[..., 1::2] - x[..., ::2]).abs(), (x[..., 2::2] - x[..., 1:-1:2]).abs()
        steps[smooth] = (within.mean() / between.mean()).item()
    assert steps[False] == 0  # all pixels of a block are equal
    assert steps[True] == pytest.approx(0.5, abs=0.1)  # (x₊ − x₋) / 4 within a block and (x₊ − x) / 2 between two


def test_the_second_critic_sees_only_the_modalities() -> None:
    critic = Critic(Architecture((4, 4), (16, 16), 5, latent=8, labels=2, image_critic=0.5))
    x, other = torch.randn(4, 5, 8, 8), torch.randn(4, 5, 8, 8)
    other[:, :3] = x[:, :3]
    first, second = critic(x, 1).chunk(2)
    first_other, second_other = critic(other, 1).chunk(2)
    assert torch.equal(second, second_other)
    assert not torch.allclose(first, first_other)
    assert critic.images.architecture.widths == (8, 8)
