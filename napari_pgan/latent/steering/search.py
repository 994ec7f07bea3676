"""Search for latents whose segmentation matches a target.

The best latents of a bank are optimised together, coarse to fine through the generator's sizes, in the coordinates that
matter for labels (`bank.label_directions`). Latents lie on a hypersphere on which all directions are equally likely, so
an optimised latent is as likely as a random one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from napari_pgan.latent.steering.bank import Bank
from napari_pgan.latent.steering.candidates import Best, Candidates
from napari_pgan.latent.steering.preserve import Preserve, total_loss
from napari_pgan.latent.steering.starts import starts
from napari_pgan.latent.steering.target import Loss, Target
from napari_pgan.model import Model
from napari_pgan.model.bfloat16 import has_bf16

_RATE = 0.05
_BETAS = (0.9, 0.99)
_EVERY = 5  # steps between two evaluations at full precision


@dataclass(frozen=True)
class Phase:
    """A phase of the search.

    Parameters
    ----------
    below
        Number of stages below the model's last one.
    steps
        Optimiser steps.
    share
        Number of latents that move, relative to the requested candidates. Below 1 only the best move; above 1 the
        surplus is dropped when the next phase begins.
    """

    below: int
    steps: int
    share: float


PHASES = (Phase(1, 10, 4 / 3), Phase(0, 60, 1 / 3), Phase(0, 100, 1))


def steer(
    model: Model,
    target: Target,
    bank: Bank,
    *,
    candidates: int = 6,
    seconds: float | None = None,
    phases: tuple[Phase, ...] = PHASES,
    conditions: Mapping[str, str | float] | None = None,
    preserve: Preserve | None = None,
) -> Iterator[Candidates]:
    """Search for latents; yields the best so far, first from the bank alone, then every few steps at full size.

    The caller may stop iterating at any time.

    Parameters
    ----------
    model
        A model with labels.
    target
        The segmentation to match: a `TargetMask` or `TargetAreas`.
    bank
        The model's bank.
    candidates
        Number of latents to return.
    seconds
        Time limit; no step begins after it. The best of the bank are always yielded.
    phases
        Phases of the search, coarse to fine.
    conditions
        See `Model.sample`.
    preserve
        Region of an image to preserve. The search then starts at that image's latent, with the directions that matter
        most for labels taken from the bank's best.
    """
    descent = _Descent(model, target, conditions, preserve, time.monotonic())
    rows = max(candidates, round(candidates * max(phase.share for phase in phases)))
    initial = starts(model, target, bank, preserve, rows, conditions)
    if preserve is not None:
        phases = tuple(phase for phase in phases if phase.below == 0 and phase.share >= 1)
    lines = _Lines(torch.from_numpy(initial).to(model.device), bank.directions, model.card.architecture.sphere)
    descent.evaluate(lines.z[:candidates], range(candidates))
    yield descent.best.candidates(candidates, 0, descent.began)
    done = evaluated = 0

    def expired() -> bool:
        return seconds is not None and time.monotonic() - descent.began >= seconds

    for phase in phases:
        if expired():
            break
        stage = max(0, model.stages - 1 - phase.below)
        loss = total_loss(model, target, preserve, stage)
        moving = descent.order(lines, loss, stage)[: max(1, round(candidates * phase.share))]
        if phase.share >= 1:
            lines.select(moving)
            moving = list(range(len(moving)))
        for _ in range(phase.steps):
            if expired():
                break
            descent.step(lines, moving, loss, stage)
            done += 1
            if phase.below == 0 and done % _EVERY == 0:
                descent.evaluate_best(lines, moving)
                yield descent.best.candidates(candidates, done, descent.began)
                evaluated = done
    if done > evaluated:
        descent.evaluate_best(lines, moving)
        yield descent.best.candidates(candidates, done, descent.began)


class _Lines:
    """Latents under optimisation, each with its own Adam state (Kingma & Ba 2014, arXiv:1412.6980), so that some can
    wait while others move."""

    def __init__(self, z: torch.Tensor, directions: torch.Tensor, sphere: bool) -> None:
        self.directions, self.sphere = directions.to(z.device), sphere
        self.y = self._on_sphere(z) @ self.directions
        self.mean, self.square = torch.zeros_like(self.y), torch.zeros_like(self.y)
        self.steps = torch.zeros(len(z), 1, device=z.device)
        self.names = list(range(len(z)))

    @property
    def z(self) -> torch.Tensor:
        return self.y @ self.directions.T

    def select(self, rows: list[int]) -> None:
        self.y, self.mean, self.square = self.y[rows], self.mean[rows], self.square[rows]
        self.steps, self.names = self.steps[rows], [self.names[row] for row in rows]

    def move(self, rows: list[int], gradient: torch.Tensor) -> None:
        """Take a step of Adam and project back onto the sphere."""
        first, second = _BETAS
        self.steps[rows] += 1
        self.mean[rows] = first * self.mean[rows] + (1 - first) * gradient
        self.square[rows] = second * self.square[rows] + (1 - second) * gradient**2
        n = self.steps[rows]
        step = self.mean[rows] / (1 - first**n) / ((self.square[rows] / (1 - second**n)).sqrt() + 1e-8)
        self.y[rows] = self._on_sphere(self.y[rows] - _RATE * step)

    def _on_sphere(self, z: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(z, dim=1) * z.shape[1] ** 0.5 if self.sphere else z


class _Descent:
    """Losses, gradient steps and evaluations of the latents."""

    def __init__(
        self,
        model: Model,
        target: Target,
        conditions: Mapping[str, str | float] | None,
        preserve: Preserve | None,
        began: float,
    ) -> None:
        self.model, self.target, self.conditions, self.preserve, self.began = model, target, conditions, preserve, began
        self.coarse = has_bf16(model.device)
        self.best = Best(target, preserve)
        self._seen: dict[int, tuple[float, torch.Tensor]] = {}  # line → best value and latent since the last evaluation

    def order(self, lines: _Lines, loss: Loss, stage: int) -> list[int]:
        """Return the rows, most similar to the target at a stage first."""
        with torch.inference_mode(), self._autocast():
            far = loss(self.model.generate(lines.z, stage=stage, conditions=self.conditions))
        return [int(i) for i in far.argsort(stable=True)]

    def step(self, lines: _Lines, rows: list[int], loss: Loss, stage: int) -> None:
        """Move some of the lines, and remember the best latent of each."""
        y = lines.y[rows].clone().requires_grad_(True)
        z = y @ lines.directions.T
        with self._autocast():
            x = self.model.generate(z, stage=stage, conditions=self.conditions)
        loss(x).sum().backward()  # type: ignore[no-untyped-call]
        assert y.grad is not None
        if stage == self.model.stages - 1:
            self._remember(x.detach().float(), z.detach(), [lines.names[row] for row in rows])
        lines.move(rows, y.grad)

    def evaluate(self, z: torch.Tensor, names: list[int] | range) -> None:
        """Evaluate latents in float32; each replaces the best of its search if it scores higher."""
        with torch.inference_mode():
            x = self.model.generate(z, conditions=self.conditions)
        self.best.take(names, z.cpu().numpy(), *self._drawn(x))

    def evaluate_best(self, lines: _Lines, rows: list[int]) -> None:
        """Evaluate the best latent of each line since the last evaluation."""
        names = [lines.names[row] for row in rows if lines.names[row] in self._seen]
        if names:
            self.evaluate(torch.stack([self._seen[name][1] for name in names]), names)
        self._seen.clear()

    def _remember(self, x: torch.Tensor, z: torch.Tensor, names: list[int]) -> None:
        for name, value, latent in zip(names, self.best.values(*self._drawn(x)), z, strict=True):
            if name not in self._seen or value > self._seen[name][0]:
                self._seen[name] = (float(value), latent)

    def _drawn(self, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        images = self.model.encoding.images(x).clamp(-1, 1) if self.preserve is not None else x[:, :0]
        return self.model.encoding.decode(x).cpu().numpy(), images.cpu().numpy()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=self.coarse)
