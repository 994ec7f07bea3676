"""What critic and generator strive for.

A loss sees scores (N,) of reals and of generated images; a penalty sees the images (N, C, …) too, which carry
gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F

from napari_pgan.training import recipe

Score = Callable[[torch.Tensor], torch.Tensor]


class Loss(Protocol):
    """A pair of losses, and a penalty that keeps the critic smooth.

    ``pairs`` says whether the generator's loss looks at the scores of reals.
    """

    pairs: bool

    def critic(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
        """To be minimised by the critic."""

    def penalty(
        self,
        critic: Score,
        real: torch.Tensor,
        fake: torch.Tensor,
        on_real: torch.Tensor,
        on_fake: torch.Tensor,
        blend: torch.Tensor,
    ) -> torch.Tensor:
        """The critic's penalty, to be added to its loss.

        `real` and `fake` are leaves that require gradients, whose scores are `on_real` and `on_fake`; `blend` (N,) is
        uniform in 0 to 1.
        """

    def generator(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
        """To be minimised by the generator."""


class WassersteinGP:
    """Wasserstein loss with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028), with Karras's drift term.

    E[D(fake)] − E[D(real)] + λ E[(‖∇D(x̂)‖ − 1)²] + ε E[D(real)²], x̂ between real and fake.
    """

    pairs = False

    def __init__(self, gradient_weight: float, drift: float) -> None:
        self.gradient_weight, self.drift = gradient_weight, drift

    def critic(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
        return on_fake.mean() - on_real.mean() + self.drift * on_real.square().mean()

    def penalty(
        self,
        critic: Score,
        real: torch.Tensor,
        fake: torch.Tensor,
        on_real: torch.Tensor,
        on_fake: torch.Tensor,
        blend: torch.Tensor,
    ) -> torch.Tensor:
        between = torch.lerp(real.detach(), fake.detach(), blend.reshape(-1, *[1] * (real.ndim - 1)))
        between.requires_grad_(True)
        norm = (_gradient(critic(between), between).square().sum(1) + 1e-12).sqrt()
        return self.gradient_weight * (norm - 1).square().mean()

    def generator(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
        return -on_fake.mean()


class Relativistic:
    """Relativistic pairing loss with zero-centred penalties (Huang et al. 2024, "R3GAN", arXiv:2501.05441).

    E[softplus(D(fake) − D(real))] + γ/2 E[‖∇D(real)‖² + ‖∇D(fake)‖²]; the generator's is its mirror image.
    """

    pairs = True

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def critic(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
        return F.softplus(on_fake - on_real).mean()

    def penalty(
        self,
        critic: Score,
        real: torch.Tensor,
        fake: torch.Tensor,
        on_real: torch.Tensor,
        on_fake: torch.Tensor,
        blend: torch.Tensor,
    ) -> torch.Tensor:
        r1 = _gradient(on_real, real).square().sum(1).mean()
        r2 = _gradient(on_fake, fake).square().sum(1).mean()
        return self.gamma / 2 * (r1 + r2)

    def generator(self, on_real: torch.Tensor, on_fake: torch.Tensor) -> torch.Tensor:
        return F.softplus(on_real.detach() - on_fake).mean()


def make_loss(plan: recipe.Loss) -> Loss:
    """The loss of a recipe."""
    if plan.kind == "wgan-gp":
        return WassersteinGP(plan.gradient_weight, plan.drift)
    return Relativistic(plan.gamma)


def full(x: torch.Tensor) -> torch.Tensor:
    """Half precision becomes float32; what is more stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _gradient(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The gradient of each score in its image, (N, values), itself differentiable."""
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return full(gradient).flatten(1)
