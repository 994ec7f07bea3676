"""A new stage reproduces the network before it was grown."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.model import Architecture, Critic, Generator
from napari_pgan.model.growing import grow_critic, grow_generator
from napari_pgan.model.layers import down, smoothed, up


def trained(base: tuple[int, ...] = (4, 4), **more: object) -> tuple[Generator, Critic]:
    torch.manual_seed(3)
    a = Architecture(base, (32, 32, 24), 3, latent=16, **more)  # type: ignore[arg-type]
    generator, critic = Generator(a), Critic(a)
    for network in (generator, critic):
        for parameter in network.parameters():  # also makes biases nonzero
            parameter.data += 0.1 * torch.randn_like(parameter)
    return generator, critic


@pytest.mark.parametrize("base", [(4, 4), (2, 3, 2)])
@pytest.mark.parametrize(
    "more", [{}, {"equalized": False}, {"smooth": True}, {"labels": 1, "label_share": 0.25}], ids=str
)
def test_a_new_generator_stage_reproduces_the_stage_below(base: tuple[int, ...], more: dict[str, object]) -> None:
    generator, _ = trained(base, **more)
    others = torch.randn(16, 16)

    def unlike() -> float:
        """Return the share of the image variance that the new stage misses, on latents outside the fit."""
        with torch.no_grad():
            new, old = generator(others, 2), smoothed(up(generator(others, 1)) + 1) - 1
        return ((new - old).square().mean() / (old - old.mean()).square().mean()).item()

    below = generator(others, 1).detach()
    before = unlike()
    z = torch.randn(64, 16)
    grow_generator(generator, 2, z)
    assert unlike() < 0.2 < 1 < before
    assert torch.equal(generator(others, 1), below)
    grown = {k: v.clone() for k, v in generator.state_dict().items()}
    grow_generator(generator, 2, z)
    assert all(torch.equal(v, grown[k]) for k, v in generator.state_dict().items())  # a second call changes nothing


@pytest.mark.parametrize("base", [(4, 4), (2, 3, 2)])
@pytest.mark.parametrize("more", [{}, {"equalized": False}, {"labels": 1, "image_critic": 0.5}], ids=str)
def test_a_new_critic_stage_scores_like_the_stage_below(base: tuple[int, ...], more: dict[str, object]) -> None:
    _, critic = trained(base, **more)
    x = torch.randn(8, 3, *[4 * n for n in base])
    below = critic(down(x), 1).detach()
    assert not torch.allclose(critic(x, 2), below, atol=0.01)
    grow_critic(critic, 2)
    for alpha in (0.0, 0.4, 1.0):
        assert torch.allclose(critic(x, 2, alpha), below, atol=1e-4)


def test_every_parameter_of_a_new_stage_gets_a_gradient() -> None:
    generator, critic = trained()
    grow_generator(generator, 2, torch.randn(32, 16))
    grow_critic(critic, 2)
    z = torch.randn(4, 16)
    for _ in range(2):  # unused features get a gradient in the second step
        critic(generator(z, 2), 2).sum().backward()
        with torch.no_grad():
            for network in (generator, critic):
                for parameter in network.parameters():
                    if parameter.grad is not None:
                        parameter -= 0.01 * parameter.grad.sign()
    for layer in (*generator.blocks[1].children(), *critic.blocks[1].children(), critic.tails[2], generator.heads[2]):
        if hasattr(layer, "weight"):
            assert (layer.weight.grad != 0).float().mean() > 0.9


def test_a_critic_too_narrow_for_all_channels_is_not_changed() -> None:
    critic = Critic(Architecture((4, 4), (16, 5), 3, latent=8))
    before = {k: v.clone() for k, v in critic.state_dict().items()}
    grow_critic(critic, 1)
    assert all(torch.equal(v, before[k]) for k, v in critic.state_dict().items())
