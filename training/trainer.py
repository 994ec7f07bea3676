"""One training step: losses, gradients, optimisers, EMA. No policy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from napari_pgan.model import Architecture, Critic, Encoding, Generator
from napari_pgan.model.growing import grow_critic, grow_generator
from napari_pgan.model.layers import blend, down, up
from napari_pgan.model.networks import fades
from napari_pgan.training.augment import Augmentation, adapt_probability
from napari_pgan.training.cuda_graphs import CudaGraphs
from napari_pgan.training.dataset import Dataset
from napari_pgan.training.device import Features, to_device
from napari_pgan.training.label_noise import LabelNoise
from napari_pgan.training.losses import at_least_float32, make_loss
from napari_pgan.training.out_of_memory import free_cache, split_further
from napari_pgan.training.randomness import generator_for
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.schedule import Moment, Phase

Losses = dict[str, Tensor]
Alpha = float | Tensor
_FIT_LATENTS = 64  # latents that a new stage is fitted to


@dataclass(frozen=True)
class Draw:
    """The inputs of a step: real images and random numbers, one row per image.

    Parameters
    ----------
    real, conditions
        Real images (N, C, …) before the fade, and their conditions (N, K).
    latents, more_latents
        (N, L), for the images of the critic's update, and of the generator's update if that generates its own.
    augment_real, augment_fake, augment_more
        Random numbers of the augmentation, for the real images and both sets of generated ones.
    noise_real, noise_fake, noise_more
        (N, labels, …), normal, for the label channels of the same; without channels if the recipe has no noise.
    blend
        (N,), uniform in 0 to 1.
    """

    real: Tensor
    conditions: Tensor
    latents: Tensor
    more_latents: Tensor
    augment_real: Tensor
    augment_fake: Tensor
    augment_more: Tensor
    blend: Tensor
    noise_real: Tensor
    noise_fake: Tensor
    noise_more: Tensor

    def tensors(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def part(self, index: int, parts: int) -> Draw:
        """Every n-th row for n parts, which keeps the groups of the minibatch deviation together."""
        return Draw(**{name: x[index::parts] for name, x in self.tensors().items()})


class Trainer:
    """Generator, critic, their optimisers and the EMA of the generator; the device is tested if `features` is None."""

    def __init__(
        self,
        recipe: Recipe,
        architecture: Architecture,
        encoding: Encoding,
        device: torch.device | str,
        features: Features | None = None,
    ) -> None:
        self.recipe, self.architecture, self.encoding = recipe, architecture, encoding
        self.device = torch.device(device)
        self.features = features or Features.of(self.device, recipe.precision)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.generator, self.critic = Generator(architecture), Critic(architecture)
        for name, parameter in self.generator.heads.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.constant_(parameter, recipe.network.start)
        self.ema = copy.deepcopy(self.generator)  # exponential moving average of the weights, which is sampled
        for network in (self.generator, self.critic, self.ema):
            if self.device.type != "cpu":
                network.to(self.device)
            if self._channels_last:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema.requires_grad_(False)
        self.loss = make_loss(recipe.loss)
        self.augment = Augmentation(recipe.augment, encoding.modality_count, architecture.dimensions)
        self.label_noise = LabelNoise(recipe.mask, encoding)
        self.probability = torch.tensor(float(recipe.augment.probability), device=self.device)
        self.graphs = CudaGraphs(self.device)
        self.seen = 0
        self.split = 1
        self.rate_factor = 1.0
        self._crisp = False  # whether the label channels of real images are exactly ±1 at this size
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)
        self.reset_optimizers()

    def reset_optimizers(self) -> None:
        """Create new optimisers; the critic's is corrected for lazy penalties (Karras et al., arXiv:1912.04958, B)."""
        lazy = self.recipe.loss.lazy
        self.generator_adam = self._adam(self.generator, 1.0)
        self.critic_adam = self._adam(self.critic, lazy / (lazy + 1) if lazy > 1 else 1.0)

    def all_finite(self) -> bool:
        """Tell whether every loss and gradient since the last call was finite; waits for the device."""
        finite = bool(self._finite.item())
        self._finite.fill_(True)
        return finite

    def begin_phase(self, phase: Phase, dataset: Dataset) -> None:
        """Prepare the networks for the first step of a phase; deterministic."""
        if phase.fading and self.recipe.network.growth == "preserving":
            random = generator_for(self.recipe.seed, "growth", phase.start)
            z = to_device(torch.randn(_FIT_LATENTS, self.architecture.latent, generator=random), self.device)
            _, conditions = dataset.batch(phase.start, _FIT_LATENTS, self.recipe.seed)
            for network in (self.generator, self.ema):
                grow_generator(network, phase.stage, z, conditions)
            grow_critic(self.critic, phase.stage)

    def step(self, moment: Moment, dataset: Dataset) -> Losses:
        """Update critic and generator on the next batch; returns the losses without waiting for the device.

        Random numbers depend on the recipe's seed and `seen` alone. If the critic's update raises, nothing has changed.
        If memory runs out on a GPU, the update is repeated in smaller parts.
        """
        n, self._crisp = moment.phase.batch, dataset.crisp
        draw = self.draw(n, dataset)
        self._set_learning_rates(moment.phase.learning_rate)
        if self.recipe.loss.updates == "together":
            losses = self._update(self._joint_pass, draw, moment, self.critic_adam, self.generator_adam)
        else:
            losses = self._update(self._critic_pass, draw, moment, self.critic_adam)
            losses |= self._update(self._generator_pass, draw, moment, self.generator_adam)
        # in place, since a captured graph reads the same memory
        self.probability.copy_(adapt_probability(self.probability, losses["overfit"], n, self.recipe.augment))
        self.seen += n
        self._update_ema(n)
        return losses

    # forward and backward passes: functions of tensors alone, which a CUDA graph can replay

    def _joint_pass(self, draw: Draw, stage: int, alpha: Alpha, penalized: bool) -> Losses:
        """Compute the gradients of both networks from the same images and scores.

        Alternating updates generate and score all images twice (13 passes through a network per step instead of 10).
        With zero-centred penalties, simultaneous gradient descent converges too (Mescheder et al. 2018,
        arXiv:1801.04406).
        """
        with self._precision():
            generated = self._generated(draw.latents, draw, stage, alpha, draw.augment_fake, draw.noise_fake)
            fake = generated.detach().requires_grad_(True)
            losses, on_real, on_fake = self._critic_losses(draw, stage, alpha, penalized, fake)
            losses["generator_loss"] = self.loss.generator(on_real, on_fake)
        (gradient,) = torch.autograd.grad(losses["generator_loss"], fake, retain_graph=True)
        torch.autograd.backward(generated, gradient, inputs=list(self.generator.parameters()))
        _backward(losses["critic_total"], self.critic)
        return losses

    def _critic_pass(self, draw: Draw, stage: int, alpha: Alpha, penalized: bool) -> Losses:
        with self._precision():
            with torch.no_grad():
                fake = self._generated(draw.latents, draw, stage, alpha, draw.augment_fake, draw.noise_fake)
            losses, _, _ = self._critic_losses(draw, stage, alpha, penalized, fake.requires_grad_(penalized))
        _backward(losses["critic_total"], self.critic)
        return losses

    def _generator_pass(self, draw: Draw, stage: int, alpha: Alpha, penalized: bool) -> Losses:
        with self._precision():
            fake = self._generated(draw.more_latents, draw, stage, alpha, draw.augment_more, draw.noise_more)
            on_fake = self._score(fake, draw, stage, alpha)
            on_real = on_fake.detach()
            if self.loss.uses_real_scores:
                with torch.no_grad():
                    on_real = self._score(self._real(draw, alpha), draw, stage, alpha)
            loss = self.loss.generator(on_real, on_fake)
        _backward(loss, self.generator)
        return {"generator_loss": loss}

    def _critic_losses(
        self, draw: Draw, stage: int, alpha: Alpha, penalized: bool, fake: Tensor
    ) -> tuple[Losses, Tensor, Tensor]:
        """Return the critic's losses, and its scores of real and generated images."""
        real = self._real(draw, alpha).requires_grad_(penalized)
        on_real, on_fake = self._score(real, draw, stage, alpha), self._score(fake, draw, stage, alpha)
        loss = total = self.loss.critic(on_real, on_fake)
        if penalized:
            penalty = self.loss.penalty(
                lambda x: self._score(x, draw, stage, alpha), real, fake, on_real, on_fake, draw.blend
            )
            total = loss + self.recipe.loss.lazy * penalty
        overfit = (on_real - on_fake if self.loss.uses_real_scores else on_real).detach().sign().mean()
        return {"critic_loss": loss, "critic_total": total, "overfit": overfit}, on_real, on_fake

    def _real(self, draw: Draw, alpha: Alpha) -> Tensor:
        real = self.label_noise.soften(fade_reals(draw.real, alpha))
        return self._augment(real, draw.augment_real, draw.noise_real)

    def _generated(
        self, latents: Tensor, draw: Draw, stage: int, alpha: Alpha, random: Tensor, noise: Tensor
    ) -> Tensor:
        generated = at_least_float32(self.generator(latents, stage, alpha, draw.conditions))
        if self._crisp and not fades(alpha):
            generated = self.label_noise.crisp(generated)
        return self._augment(generated, random, noise)

    def _augment(self, x: Tensor, random: Tensor, noise: Tensor) -> Tensor:
        return self._to_layout(self.label_noise.add_noise(self.augment(x, random, self.probability), noise))

    def _score(self, x: Tensor, draw: Draw, stage: int, alpha: Alpha) -> Tensor:
        return at_least_float32(self.critic(x, stage, alpha, draw.conditions))

    # the optimiser steps around them

    def _update(
        self, gradient_pass: Callable[..., Losses], draw: Draw, moment: Moment, *adams: torch.optim.Adam
    ) -> Losses:
        """Compute gradients in `split` parts, then take a step of the optimisers."""
        stage, penalized = moment.phase.stage, moment.step % self.recipe.loss.lazy == 0
        alpha: Alpha = 1.0
        if moment.phase.fading:
            alpha = to_device(torch.tensor(moment.alpha), self.device) if self.graphs.active else moment.alpha
        while True:
            try:
                for adam in adams:
                    adam.zero_grad(set_to_none=True)
                losses = self._gradients(gradient_pass, draw, stage, alpha, penalized, adams)
                break
            except torch.OutOfMemoryError:
                self.graphs.forget()
                parts = split_further(len(draw.real), self.split)
                if parts is None:
                    raise
                self.split = parts
                free_cache(self.device)
        self._check_finite(losses.values(), adams)
        for adam in adams:
            adam.step()
        return {name: value.detach() for name, value in losses.items()}

    def _gradients(
        self, gradient_pass: Callable[..., Losses], draw: Draw, stage: int, alpha: Alpha, penalized: bool,
        adams: Iterable[torch.optim.Adam],
    ) -> Losses:  # fmt: skip
        if self.split == 1:
            return self.graphs.run(gradient_pass, draw, stage, alpha, penalized, _parameters(adams))
        losses: Losses = {}
        for index in range(self.split):
            part = gradient_pass(draw.part(index, self.split), stage, alpha, penalized)
            losses = {name: losses.get(name, 0) + value.detach() / self.split for name, value in part.items()}
        torch._foreach_div_([p.grad for p in _parameters(adams) if p.grad is not None], self.split)
        return losses

    @torch.no_grad()
    def _check_finite(self, losses: Iterable[Tensor], adams: Iterable[torch.optim.Adam]) -> None:
        """Record whether all losses and gradients are finite, without waiting for the device."""
        gradients = [p.grad for p in _parameters(adams) if p.grad is not None]
        values = torch.stack([*(loss.detach() for loss in losses), *torch._foreach_norm(gradients)])
        self._finite &= torch.isfinite(values).all()

    def draw(self, n: int, dataset: Dataset) -> Draw:
        """Draw the inputs of the next step, which updates the networks with n images."""
        seed, random = self.recipe.seed, generator_for(self.recipe.seed, "step", self.seen)
        real, conditions = dataset.batch(self.seen, n, seed)
        latents, more = (torch.randn(n, self.architecture.latent, generator=random) for _ in range(2))
        augments = [self.augment.draw(n, random) for _ in range(3)]
        blend, noise_shape = torch.rand(n, generator=random), (n, self.label_noise.noisy_channels, *real.shape[2:])
        noises = [torch.randn(noise_shape, generator=random) for _ in range(3)]
        drawn = (latents, more, *augments, blend, *noises)
        return Draw(self._to_layout(real), conditions, *(to_device(x, self.device) for x in drawn))

    @property
    def _channels_last(self) -> bool:
        return self.architecture.dimensions == 2 and self.features.channels_last

    def _to_layout(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self._channels_last else x

    def _precision(self) -> torch.autocast:
        # no cache: a replayed graph must cast the weights again
        cache = not self.graphs.active
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.features.bf16, cache_enabled=cache)

    def _adam(self, network: torch.nn.Module, correction: float) -> torch.optim.Adam:
        plan = self.recipe.optimizer
        betas = (plan.betas[0] ** correction, plan.betas[1] ** correction)
        options: dict[str, Any] = {"fused": True} if self.features.fused_adam else {"foreach": True}
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, betas=betas, eps=plan.epsilon, **options)
        adam.param_groups[0]["correction"] = correction
        return adam

    def _set_learning_rates(self, rate: float) -> None:
        for adam in (self.generator_adam, self.critic_adam):
            for group in adam.param_groups:
                group["lr"] = rate * self.rate_factor * group["correction"]

    @torch.no_grad()
    def _update_ema(self, n: int) -> None:
        """Update the EMA of the generator after n images."""
        plan = self.recipe.ema
        decay = 0.0
        if plan.kind == "step":
            decay = plan.decay
        elif plan.kind == "halflife":
            # the half-life grows with the images seen, to forget the initial weights soon (Karras et al. 2022)
            decay = 0.5 ** (n / max(min(plan.halflife, 0.05 * self.seen), 1e-9))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.generator.parameters()), 1 - decay)


def fade_reals(real: Tensor, alpha: Alpha) -> Tensor:
    """Blend real images (N, C, …) with their low-resolution copies, as the networks do during a fade-in."""
    if not isinstance(alpha, Tensor) and alpha >= 1:
        return real
    return blend(up(down(real)), real, alpha)


def _backward(loss: Tensor, network: torch.nn.Module) -> None:
    loss.backward(inputs=list(network.parameters()))


def _parameters(adams: Iterable[torch.optim.Adam]) -> list[torch.nn.Parameter]:
    return [p for adam in adams for p in adam.param_groups[0]["params"]]
