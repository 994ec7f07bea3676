"""One step of the training, and no policy."""

from __future__ import annotations

import copy

import torch

from napari_pgan.model import Architecture, Critic, Encoding, Generator
from napari_pgan.model.layers import down, up
from napari_pgan.training.augment import Augmentation
from napari_pgan.training.losses import make_loss
from napari_pgan.training.randomness import generator_for
from napari_pgan.training.reals import Reals
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.schedule import Moment


class Trainer:
    """Generator, critic, their optimisers and the running mean of the generator.

    Parameters
    ----------
    recipe
        Loss, optimiser, augmentation, precision, seed.
    architecture
        Of both networks.
    encoding
        Which channels are modalities.
    device
        Where they train.
    """

    def __init__(
        self, recipe: Recipe, architecture: Architecture, encoding: Encoding, device: torch.device | str
    ) -> None:
        self.recipe, self.architecture, self.device = recipe, architecture, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.generator, self.critic = Generator(architecture), Critic(architecture)
        for name, parameter in self.generator.heads.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.constant_(parameter, recipe.network.start)
        self.mean = copy.deepcopy(self.generator)  # the running mean, which is sampled
        for network in (self.generator, self.critic, self.mean):
            network.to(self.device)
            if architecture.dimensions == 2:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean.requires_grad_(False)
        self.loss = make_loss(recipe.loss)
        self.augment = Augmentation(recipe.augment, encoding.modality_count)
        self.seen = 0
        self.reset_optimizers()

    def reset_optimizers(self) -> None:
        """Fresh Adam for both; the critic's is corrected for lazy penalties (Karras et al., arXiv:1912.04958, B)."""
        lazy = self.recipe.loss.lazy
        self.generator_adam = self._adam(self.generator, 1.0)
        self.critic_adam = self._adam(self.critic, lazy / (lazy + 1) if lazy > 1 else 1.0)

    def step(self, moment: Moment, reals: Reals) -> dict[str, torch.Tensor]:
        """One step of the critic, one of the generator, on the batch that follows; returns losses and mean scores.

        The numbers drawn depend on the recipe's seed and `seen` alone.
        """
        phase, seed = moment.phase, self.recipe.seed
        stage, alpha, n = phase.stage, moment.alpha, phase.batch
        random = generator_for(seed, "step", self.seen)
        real, told = reals.batch(self.seen, n, seed)
        real = self._channels_last(fade_reals(real, alpha) if phase.fading else real)
        loss = self.loss

        def score(images: torch.Tensor) -> torch.Tensor:
            return self.critic(self.augment(images, random), stage, alpha, told)

        self._learning_rates(phase.learning_rate)
        with self._precision():
            with torch.no_grad():
                fake = self.generator(self._latents(n, random), stage, alpha, told).float()
            loss_critic = loss.critic(score, real, fake)
        total = loss_critic
        if moment.step % self.recipe.loss.lazy == 0:
            blend = torch.rand(n, generator=random).to(self.device)
            with self._precision():
                total = total + self.recipe.loss.lazy * loss.penalty(score, real, fake, blend)
        self._update(total, self.critic_adam)

        self.critic.requires_grad_(False)
        with self._precision():
            fake = self.generator(self._latents(n, random), stage, alpha, told)
            loss_generator = loss.generator(score, real, fake.float())
        self._update(loss_generator, self.generator_adam)
        self.critic.requires_grad_(True)

        self.seen += n
        self._follow(n)
        return {
            "critic_loss": loss_critic.detach(),
            "critic_total": total.detach(),
            "generator_loss": loss_generator.detach(),
        }

    def _latents(self, n: int, random: torch.Generator) -> torch.Tensor:
        return torch.randn(n, self.architecture.latent, generator=random).to(self.device)

    def _channels_last(self, x: torch.Tensor) -> torch.Tensor:
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16")

    def _adam(self, network: torch.nn.Module, correction: float) -> torch.optim.Adam:
        plan = self.recipe.optimizer
        betas = (plan.betas[0] ** correction, plan.betas[1] ** correction)
        fused = self.device.type in ("cpu", "cuda")
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, betas=betas, eps=plan.epsilon, fused=fused)
        adam.param_groups[0]["correction"] = correction
        return adam

    def _learning_rates(self, rate: float) -> None:
        for adam in (self.generator_adam, self.critic_adam):
            for group in adam.param_groups:
                group["lr"] = rate * group["correction"]

    @staticmethod
    def _update(loss: torch.Tensor, adam: torch.optim.Adam) -> None:
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    @torch.no_grad()
    def _follow(self, n: int) -> None:
        """Let the running mean follow the generator."""
        plan = self.recipe.ema
        decay = 0.0
        if plan.kind == "step":
            decay = plan.decay
        elif plan.kind == "halflife":
            # a young mean would remember the start: its half-life grows with the images seen (Karras et al. 2022)
            decay = 0.5 ** (n / max(min(plan.halflife, 0.05 * self.seen), 1e-9))
        pairs = list(zip(self.mean.parameters(), self.generator.parameters(), strict=True))
        torch._foreach_lerp_([m for m, _ in pairs], [g for _, g in pairs], 1 - decay)


def fade_reals(real: torch.Tensor, alpha: float) -> torch.Tensor:
    """Blend images with their own halved and doubled selves, as fading networks see the world."""
    return torch.lerp(up(down(real)), real, alpha)
