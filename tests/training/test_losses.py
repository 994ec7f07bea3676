"""The losses against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from napari_pgan.training.losses import Relativistic, WassersteinGP, make_loss
from napari_pgan.training.recipe import read_recipe


def linear(slope: float):
    """A critic with a known gradient: the same slope for every value."""
    return lambda x: slope * x.flatten(1).sum(1)


real = torch.full((4, 2, 3, 3), 0.5, dtype=torch.float64)
fake = torch.full((4, 2, 3, 3), -0.25, dtype=torch.float64)
values = 18


def penalty_of(loss, critic, blend: torch.Tensor) -> torch.Tensor:
    x, y = (images.clone().requires_grad_(True) for images in (real, fake))
    return loss.penalty(critic, x, y, critic(x), critic(y), blend)


def test_gradient_penalty_of_a_linear_critic() -> None:
    loss = WassersteinGP(gradient_weight=10, drift=0)
    blend = torch.rand(4, dtype=torch.float64)
    for slope in (0.1, 1 / math.sqrt(values), 2.0):
        expected = 10 * (slope * math.sqrt(values) - 1) ** 2
        assert penalty_of(loss, linear(slope), blend).item() == pytest.approx(expected, abs=1e-4)


def test_wasserstein_loss_is_difference_of_means_plus_drift() -> None:
    loss = WassersteinGP(gradient_weight=10, drift=0.001)
    on_real, on_fake = 0.5 * values, -0.25 * values
    scores = linear(1)(real), linear(1)(fake)
    assert loss.critic(*scores).item() == pytest.approx(on_fake - on_real + 0.001 * on_real**2)
    assert loss.generator(*scores).item() == pytest.approx(-on_fake)


def test_relativistic_losses_are_mirror_images() -> None:
    loss = Relativistic(gamma=1)
    gap = 0.75 * values
    on_real, on_fake = linear(1)(real), linear(1)(fake)
    assert loss.critic(on_real, on_fake).item() == pytest.approx(math.log1p(math.exp(-gap)))
    assert loss.generator(on_real, on_fake).item() == pytest.approx(math.log1p(math.exp(gap)))
    assert loss.critic(on_real, on_real).item() == pytest.approx(math.log(2))


def test_zero_centred_penalties_of_a_linear_critic() -> None:
    loss = Relativistic(gamma=3)
    penalty = penalty_of(loss, linear(0.2), torch.zeros(4))
    assert penalty.item() == pytest.approx(3 / 2 * 2 * 0.2**2 * values)


def test_penalty_is_differentiable() -> None:
    weight = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    for loss in (Relativistic(1.0), WassersteinGP(10, 0.001)):
        blend = torch.full((4,), 0.5, dtype=torch.float64)
        penalty = penalty_of(loss, lambda x: weight * x.square().flatten(1).sum(1), blend)
        (gradient,) = torch.autograd.grad(penalty, weight)
        assert gradient.abs() > 0


def test_recipe_selects_the_loss() -> None:
    plan = read_recipe("default").loss
    modern, paper = make_loss(plan), make_loss(read_recipe("beers2018-mri").loss)
    assert isinstance(modern, Relativistic)
    assert modern.gamma == plan.gamma
    assert isinstance(paper, WassersteinGP)
    assert (paper.gradient_weight, paper.drift) == (10, 0.001)
