"""One step of the training, and no policy."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import torch

from napari_pgan.model import Architecture, Critic, Encoding, Generator
from napari_pgan.model.growing import grow_critic, grow_generator
from napari_pgan.model.layers import blend, down, up
from napari_pgan.model.networks import fades
from napari_pgan.training.augment import Augmentation, adapted
from napari_pgan.training.cuda_graphs import Graphs
from napari_pgan.training.dataset import Dataset
from napari_pgan.training.device import Features, sent
from napari_pgan.training.label_noise import LabelNoise
from napari_pgan.training.losses import full, make_loss
from napari_pgan.training.randomness import generator_for
from napari_pgan.training.recipe import Recipe
from napari_pgan.training.schedule import Moment, Phase

Said = dict[str, torch.Tensor]
_FITTED = 64  # latents that a new stage is fitted on


@dataclass(frozen=True)
class Draw:
    """All that a step looks at: reals and random numbers, one row an image.

    Parameters
    ----------
    real, told
        Reals (N, C, …), not yet faded, and their conditions (N, K).
    latents, more_latents
        (N, L) for the generated images of the critic's update, and of the generator's where that makes its own.
    change_real, change_fake, change_more
        What decides augmentation, for reals and both kinds of generated images.
    noise_real, noise_fake, noise_more
        (N, labels, …) normal, for the masks of these; without channels where no noise is wanted.
    blend
        (N,) uniform in 0 to 1.
    """

    real: torch.Tensor
    told: torch.Tensor
    latents: torch.Tensor
    more_latents: torch.Tensor
    change_real: torch.Tensor
    change_fake: torch.Tensor
    change_more: torch.Tensor
    blend: torch.Tensor
    noise_real: torch.Tensor
    noise_fake: torch.Tensor
    noise_more: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def part(self, index: int, parts: int) -> Draw:
        """Every so manieth row, so that the groups of a minibatch deviation stay whole."""
        return Draw(**{name: x[index::parts] for name, x in self.tensors().items()})


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
    features
        What the device can do; found out if None.
    """

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
        self.mean = copy.deepcopy(self.generator)  # the running mean, which is sampled
        for network in (self.generator, self.critic, self.mean):
            if self.device.type != "cpu":
                network.to(self.device)
            if self._flat:
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean.requires_grad_(False)
        self.loss = make_loss(recipe.loss)
        self.augment = Augmentation(recipe.augment, encoding.modality_count, architecture.dimensions)
        self.masks = LabelNoise(recipe.mask, encoding)
        self.probability = torch.tensor(float(recipe.augment.probability), device=self.device)
        self.graphs = Graphs(self.device)
        self.seen = 0
        self.split = 1
        self.rate_factor = 1.0
        self._crisp = False  # whether the masks of reals are, at this size
        self._sound = torch.ones((), dtype=torch.bool, device=self.device)
        self.reset_optimizers()

    def reset_optimizers(self) -> None:
        """Fresh Adam for both; the critic's is corrected for lazy penalties (Karras et al., arXiv:1912.04958, B)."""
        lazy = self.recipe.loss.lazy
        self.generator_adam = self._adam(self.generator, 1.0)
        self.critic_adam = self._adam(self.critic, lazy / (lazy + 1) if lazy > 1 else 1.0)

    def state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds beside networks, optimisers and `seen`."""
        return {"augment_probability": self.probability.detach().cpu().clone()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Take back what `state` gave."""
        self.probability.copy_(state["augment_probability"])

    def sound(self) -> bool:
        """Whether every loss and gradient since the last call was finite; waits for the device."""
        sound = bool(self._sound.item())
        self._sound.fill_(True)
        return sound

    def enter(self, phase: Phase, reals: Dataset) -> None:
        """Make ready for a phase, before its first step; the same each time it is done."""
        if phase.fading and self.recipe.network.growth == "preserving":
            random = generator_for(self.recipe.seed, "growth", phase.start)
            z = sent(torch.randn(_FITTED, self.architecture.latent, generator=random), self.device)
            _, told = reals.batch(phase.start, _FITTED, self.recipe.seed)
            for network in (self.generator, self.mean):
                grow_generator(network, phase.stage, z, told)
            grow_critic(self.critic, phase.stage)

    def step(self, moment: Moment, reals: Dataset) -> Said:
        """One step of the critic, one of the generator, on the batch that follows; returns losses, without waiting.

        The numbers drawn depend on the recipe's seed and `seen` alone. Nothing has changed when it raises in the
        critic's update; where memory runs out on a GPU, an update is done over in smaller parts.
        """
        n, self._crisp = moment.phase.batch, reals.crisp
        draw = self._draw(n, reals)
        self._learning_rates(moment.phase.learning_rate)
        if self.recipe.loss.updates == "together":
            said = self._update(self._both, draw, moment, self.critic_adam, self.generator_adam)
        else:
            said = self._update(self._critic_half, draw, moment, self.critic_adam)
            said |= self._update(self._generator_half, draw, moment, self.generator_adam)
        # in place, since a captured graph looks where it lay
        self.probability.copy_(adapted(self.probability, said["overfit"], n, self.recipe.augment))
        self.seen += n
        self._follow(n)
        return said

    # what is to be minimised, and its gradients; functions of tensors, which a GPU can replay

    def _both(self, draw: Draw, stage: int, alpha: float | torch.Tensor, penalized: bool) -> Said:
        """Gradients of both networks at one point, from the same images and scores.

        Alternating updates would draw all generated images twice and score all images twice (13 passes through a
        network a step; these are 10). Zero-centred penalties make this descent converge as they make the alternating
        one (Mescheder et al. 2018, arXiv:1801.04406).
        """
        with self._precision():
            made = self._made(draw.latents, draw, stage, alpha)
            made = self._changed(made, draw.change_fake, draw.noise_fake)
            fake = made.detach().requires_grad_(True)
            real = self._real(draw, alpha).requires_grad_(penalized)
            on_real, on_fake = self._score(real, draw, stage, alpha), self._score(fake, draw, stage, alpha)
            said = self._critic_loss(draw, stage, alpha, penalized, real, fake, on_real, on_fake)
            said["generator_loss"] = self.loss.generator(on_real, on_fake)
        (gradient,) = torch.autograd.grad(said["generator_loss"], fake, retain_graph=True)
        torch.autograd.backward(made, gradient, inputs=list(self.generator.parameters()))
        self._backward(said["critic_total"], self.critic)
        return said

    def _critic_half(self, draw: Draw, stage: int, alpha: float | torch.Tensor, penalized: bool) -> Said:
        with self._precision():
            with torch.no_grad():
                made = self._made(draw.latents, draw, stage, alpha)
                fake = self._changed(made, draw.change_fake, draw.noise_fake)
            real = self._real(draw, alpha).requires_grad_(penalized)
            fake.requires_grad_(penalized)
            on_real, on_fake = self._score(real, draw, stage, alpha), self._score(fake, draw, stage, alpha)
            said = self._critic_loss(draw, stage, alpha, penalized, real, fake, on_real, on_fake)
        self._backward(said["critic_total"], self.critic)
        return said

    def _generator_half(self, draw: Draw, stage: int, alpha: float | torch.Tensor, penalized: bool) -> Said:
        with self._precision():
            made = self._made(draw.more_latents, draw, stage, alpha)
            on_fake = self._score(self._changed(made, draw.change_more, draw.noise_more), draw, stage, alpha)
            on_real = on_fake.detach()
            if self.loss.pairs:
                with torch.no_grad():
                    on_real = self._score(self._real(draw, alpha), draw, stage, alpha)
            loss = self.loss.generator(on_real, on_fake)
        self._backward(loss, self.generator)
        return {"generator_loss": loss}

    def _critic_loss(
        self,
        draw: Draw,
        stage: int,
        alpha: float | torch.Tensor,
        penalized: bool,
        real: torch.Tensor,
        fake: torch.Tensor,
        on_real: torch.Tensor,
        on_fake: torch.Tensor,
    ) -> Said:
        loss = total = self.loss.critic(on_real, on_fake)
        if penalized:
            penalty = self.loss.penalty(
                lambda x: self._score(x, draw, stage, alpha), real, fake, on_real, on_fake, draw.blend
            )
            total = loss + self.recipe.loss.lazy * penalty
        ahead = on_real - on_fake if self.loss.pairs else on_real
        return {"critic_loss": loss, "critic_total": total, "overfit": ahead.detach().sign().mean()}

    def _real(self, draw: Draw, alpha: float | torch.Tensor) -> torch.Tensor:
        real = self.masks.soften(fade_reals(draw.real, alpha))
        return self._changed(real, draw.change_real, draw.noise_real)

    def _made(self, latents: torch.Tensor, draw: Draw, stage: int, alpha: float | torch.Tensor) -> torch.Tensor:
        made = full(self.generator(latents, stage, alpha, draw.told))
        return self.masks.crisp(made) if self._crisp and not fades(alpha) else made

    def _changed(self, x: torch.Tensor, change: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return self._laid_out(self.masks.noisy(self.augment(x, change, self.probability), noise))

    def _score(self, x: torch.Tensor, draw: Draw, stage: int, alpha: float | torch.Tensor) -> torch.Tensor:
        return full(self.critic(x, stage, alpha, draw.told))

    def _backward(self, loss: torch.Tensor, network: torch.nn.Module) -> None:
        loss.backward(inputs=list(network.parameters()))

    # around them

    def _update(self, half: Callable[..., Said], draw: Draw, moment: Moment, *adams: torch.optim.Adam) -> Said:
        """Gradients by `half`, in `split` parts, then a step of the optimisers."""
        stage, penalized = moment.phase.stage, moment.step % self.recipe.loss.lazy == 0
        alpha: float | torch.Tensor = 1.0
        if moment.phase.fading:
            alpha = sent(torch.tensor(moment.alpha), self.device) if self.graphs.active else moment.alpha
        while True:
            try:
                for adam in adams:
                    adam.zero_grad(set_to_none=True)
                said = self._gradients(half, draw, stage, alpha, penalized, adams)
                break
            except torch.OutOfMemoryError:
                self.graphs.forget()
                if len(draw.real) % (2 * self.split):
                    raise
                self.split *= 2
                torch.cuda.empty_cache()
        self._watch(said.values(), adams)
        for adam in adams:
            adam.step()
        return {name: value.detach() for name, value in said.items()}

    def _gradients(
        self,
        half: Callable[..., Said],
        draw: Draw,
        stage: int,
        alpha: float | torch.Tensor,
        penalized: bool,
        adams: Iterable[torch.optim.Adam],
    ) -> Said:
        if self.split == 1:
            parameters = [p for adam in adams for p in adam.param_groups[0]["params"]]
            return self.graphs.run(half, draw, stage, alpha, penalized, parameters)
        said: Said = {}
        for index in range(self.split):
            part = half(draw.part(index, self.split), stage, alpha, penalized)
            said = {name: said.get(name, 0) + value.detach() / self.split for name, value in part.items()}
        gradients = [p.grad for adam in adams for p in adam.param_groups[0]["params"] if p.grad is not None]
        torch._foreach_div_(gradients, self.split)
        return said

    @torch.no_grad()
    def _watch(self, losses: Iterable[torch.Tensor], adams: Iterable[torch.optim.Adam]) -> None:
        """Remember whether all losses and gradients are finite, without waiting for the device."""
        gradients = [p.grad for adam in adams for p in adam.param_groups[0]["params"] if p.grad is not None]
        every = torch.stack([*(loss.detach() for loss in losses), *torch._foreach_norm(gradients)])
        self._sound &= torch.isfinite(every).all()

    def _draw(self, n: int, reals: Dataset) -> Draw:
        seed, random = self.recipe.seed, generator_for(self.recipe.seed, "step", self.seen)
        real, told = reals.batch(self.seen, n, seed)
        latents, more = (torch.randn(n, self.architecture.latent, generator=random) for _ in range(2))
        changes = [self.augment.draw(n, random) for _ in range(3)]
        blend, noisy = torch.rand(n, generator=random), (n, self.masks.noisy_channels, *real.shape[2:])
        noises = [torch.randn(noisy, generator=random) for _ in range(3)]
        drawn = (latents, more, *changes, blend, *noises)
        return Draw(self._laid_out(real), told, *(sent(x, self.device) for x in drawn))

    @property
    def _flat(self) -> bool:
        return self.architecture.dimensions == 2 and self.features.channels_last

    def _laid_out(self, x: torch.Tensor) -> torch.Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self._flat else x

    def _precision(self) -> torch.autocast:
        # no cache: what a captured graph has cast must be cast again when it is replayed
        cache = not self.graphs.active
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.features.bf16, cache_enabled=cache)

    def _adam(self, network: torch.nn.Module, correction: float) -> torch.optim.Adam:
        plan = self.recipe.optimizer
        betas = (plan.betas[0] ** correction, plan.betas[1] ** correction)
        options: dict[str, Any] = {"fused": True} if self.features.fused_adam else {"foreach": True}
        adam = torch.optim.Adam(network.parameters(), lr=1e-3, betas=betas, eps=plan.epsilon, **options)
        adam.param_groups[0]["correction"] = correction
        return adam

    def _learning_rates(self, rate: float) -> None:
        for adam in (self.generator_adam, self.critic_adam):
            for group in adam.param_groups:
                group["lr"] = rate * self.rate_factor * group["correction"]

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


def fade_reals(real: torch.Tensor, alpha: float | torch.Tensor) -> torch.Tensor:
    """Blend images with their own halved and doubled selves, as fading networks see the world."""
    if not isinstance(alpha, torch.Tensor) and alpha >= 1:
        return real
    return blend(up(down(real)), real, alpha)
