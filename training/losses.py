"""What critic and generator strive for.

A loss sees scores only through the function `critic`: images (N, C, …) → scores (N,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F

from napari_pgan.training import recipe

Score = Callable[[torch.Tensor], torch.Tensor]


class Loss(Protocol):
    """A pair of losses, and a penalty that keeps the critic smooth."""

    def critic(self, critic: Score, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """To be minimised by the critic; `fake` carries no gradient."""

    def penalty(self, critic: Score, real: torch.Tensor, fake: torch.Tensor, blend: torch.Tensor) -> torch.Tensor:
        """The critic's penalty, to be added to its loss; `blend` (N,) is uniform in 0 to 1."""

    def generator(self, critic: Score, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        """To be minimised by the generator."""


class WassersteinGP:
    """Wasserstein loss with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028), with Karras's drift term.

    E[D(fake)] − E[D(real)] + λ E[(‖∇D(x̂)‖ − 1)²] + ε E[D(real)²], x̂ between real and fake.
    """

    def __init__(self, gradient_weight: float, drift: float) -> None:
        self.gradient_weight, self.drift = gradient_weight, drift

    def critic(self, critic: Score, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        on_real = critic(real).float()
        return critic(fake).float().mean() - on_real.mean() + self.drift * on_real.square().mean()

    def penalty(self, critic: Score, real: torch.Tensor, fake: torch.Tensor, blend: torch.Tensor) -> torch.Tensor:
        between = torch.lerp(real, fake, blend.reshape(-1, *[1] * (real.ndim - 1)))
        return self.gradient_weight * ((_gradient(critic, between).square().sum(1) + 1e-12).sqrt() - 1).square().mean()

    def generator(self, critic: Score, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return -critic(fake).float().mean()


class Relativistic:
    """Relativistic pairing loss with zero-centred penalties (Huang et al. 2024, "R3GAN", arXiv:2501.05441).

    E[softplus(D(fake) − D(real))] + γ/2 E[‖∇D(real)‖² + ‖∇D(fake)‖²]; the generator's is its mirror image.
    """

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def critic(self, critic: Score, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        return F.softplus(critic(fake).float() - critic(real).float()).mean()

    def penalty(self, critic: Score, real: torch.Tensor, fake: torch.Tensor, blend: torch.Tensor) -> torch.Tensor:
        r1 = _gradient(critic, real).square().sum(1).mean()
        r2 = _gradient(critic, fake).square().sum(1).mean()
        return self.gamma / 2 * (r1 + r2)

    def generator(self, critic: Score, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            on_real = critic(real).float()
        return F.softplus(on_real - critic(fake).float()).mean()


def make_loss(plan: recipe.Loss) -> Loss:
    """The loss of a recipe."""
    if plan.kind == "wgan-gp":
        return WassersteinGP(plan.gradient_weight, plan.drift)
    return Relativistic(plan.gamma)


def _gradient(critic: Score, x: torch.Tensor) -> torch.Tensor:
    """The gradient of each score in its image, (N, values), itself differentiable."""
    x = x.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(x).float().sum(), x, create_graph=True)
    return gradient.float().flatten(1)
