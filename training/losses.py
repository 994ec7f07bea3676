"""The losses of critic and generator, and the penalties that regularise the critic.

A loss is a function of the critic's scores (N,) of real and generated images. A penalty also takes the images
(N, C, …).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_pgan.training import recipe

Score = Callable[[Tensor], Tensor]


class Loss(ABC):
    """A loss of the critic with its penalty, and a loss of the generator.

    ``uses_real_scores``: whether the generator's loss depends on the scores of real images.
    """

    uses_real_scores: ClassVar[bool]

    @abstractmethod
    def critic(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Return the critic's loss."""

    @abstractmethod
    def penalty(
        self, critic: Score, real: Tensor, fake: Tensor, on_real: Tensor, on_fake: Tensor, blend: Tensor
    ) -> Tensor:
        """Return the penalty to be added to the critic's loss.

        `real` and `fake` are leaves that require gradients, with the scores `on_real` and `on_fake`. `blend` (N,) is
        uniform in 0 to 1.
        """

    @abstractmethod
    def generator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        """Return the generator's loss."""


@dataclass(frozen=True)
class WassersteinGP(Loss):
    """Wasserstein loss with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028) and Karras's drift term.

    E[D(fake)] − E[D(real)] + λ E[(‖∇D(x̂)‖ − 1)²] + ε E[D(real)²], x̂ between real and fake.
    """

    gradient_weight: float
    drift: float
    uses_real_scores = False

    def critic(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        return on_fake.mean() - on_real.mean() + self.drift * on_real.square().mean()

    def penalty(
        self, critic: Score, real: Tensor, fake: Tensor, on_real: Tensor, on_fake: Tensor, blend: Tensor
    ) -> Tensor:
        mixed = torch.lerp(real.detach(), fake.detach(), blend.reshape(-1, *[1] * (real.ndim - 1)))
        mixed.requires_grad_(True)
        norm = (_gradient(critic(mixed), mixed).square().sum(1) + 1e-12).sqrt()
        return self.gradient_weight * (norm - 1).square().mean()

    def generator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        return -on_fake.mean()


@dataclass(frozen=True)
class Relativistic(Loss):
    """Relativistic pairing loss with zero-centred penalties (Huang et al. 2024, "R3GAN", arXiv:2501.05441).

    E[softplus(D(fake) − D(real))] + γ/2 E[‖∇D(real)‖² + ‖∇D(fake)‖²]; the generator's loss swaps real and fake.
    """

    gamma: float
    uses_real_scores = True

    def critic(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        return F.softplus(on_fake - on_real).mean()

    def penalty(
        self, critic: Score, real: Tensor, fake: Tensor, on_real: Tensor, on_fake: Tensor, blend: Tensor
    ) -> Tensor:
        r1, r2 = (_gradient(scores, x).square().sum(1).mean() for scores, x in ((on_real, real), (on_fake, fake)))
        return self.gamma / 2 * (r1 + r2)

    def generator(self, on_real: Tensor, on_fake: Tensor) -> Tensor:
        return F.softplus(on_real.detach() - on_fake).mean()


def make_loss(plan: recipe.Loss) -> Loss:
    """Return the loss of a recipe."""
    if plan.kind == "wgan-gp":
        return WassersteinGP(plan.gradient_weight, plan.drift)
    return Relativistic(plan.gamma)


def at_least_float32(x: Tensor) -> Tensor:
    """Convert half precision to float32; other types stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _gradient(scores: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of each score with respect to its image, (N, values); differentiable."""
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return at_least_float32(gradient).flatten(1)
