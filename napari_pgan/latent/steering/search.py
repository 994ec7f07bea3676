"""From a wish to latents whose own segmentation meets it.

The best of a bank are optimised together, coarse to fine through the generator's sizes, in coordinates that matter for
labels (`bank.label_directions`). Latents lie on a hypersphere on which all directions are equally likely, so a latent
that was optimised is no less likely than one that was drawn.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from napari_pgan.latent.steering.bank import Bank, bank_stage
from napari_pgan.latent.steering.objective import Objective
from napari_pgan.latent.steering.wish import Wish
from napari_pgan.model import Model
from napari_pgan.model.precision import has_bf16

_RATE = 0.05
_BETAS = (0.9, 0.99)
_LOOK = 5  # steps from look to look
_APART = 0.9  # the largest cosine between latents of two candidates


@dataclass(frozen=True)
class Phase:
    """A part of the search.

    Parameters
    ----------
    below
        How many stages below the model's last one.
    steps
        Of the optimiser.
    share
        Latents that are followed, for each candidate that is asked for.
    """

    below: int
    steps: int
    share: int


PHASES = (Phase(2, 10, 4), Phase(1, 15, 2), Phase(0, 100, 1))


@dataclass(frozen=True)
class Found:
    """The best so far, the best first.

    Parameters
    ----------
    latents
        (N, L) float32.
    labels
        (N, Y, X) uint8, the segmentations that they draw.
    scores
        (N,), as `Wish.score` has it.
    steps
        Done so far.
    seconds
        Since the search began.
    """

    latents: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    steps: int
    seconds: float

    def __len__(self) -> int:
        return len(self.latents)


def steer(
    model: Model,
    wish: Wish,
    bank: Bank,
    *,
    candidates: int = 6,
    seconds: float | None = None,
    phases: tuple[Phase, ...] = PHASES,
    conditions: Mapping[str, str | float] | None = None,
) -> Iterator[Found]:
    """Search, and tell the best so far: first of the bank alone, then after every few steps at full size.

    Whoever has seen enough stops asking; what was told last is the best there is.

    Parameters
    ----------
    model
        It needs labels.
    wish
        What its segmentation shall be.
    bank
        Of this model.
    candidates
        How many latents are found.
    seconds
        When the search ends, if it has not before.
    phases
        Of the search, coarse to fine.
    conditions
        As in `Model.sample`.
    """
    began, search = time.monotonic(), _Search(model, wish, bank.directions, conditions)
    factor = 2 ** (model.stages - 1 - bank_stage(model))
    ranked = bank.rank(wish, factor)
    starts = model.latents([bank.seeds[i] for i in ranked[: candidates * max(phase.share for phase in phases)]])
    z = torch.from_numpy(starts).to(model.device)
    search.look(z[:candidates])
    yield search.found(candidates, 0, began)
    done = 0
    for phase in phases:
        stage = max(0, model.stages - 1 - phase.below)
        objective = Objective(wish, model.encoding, 2 ** (model.stages - 1 - stage))
        z = search.nearest(z, objective, stage, candidates * phase.share)
        for moved in search.walk(z, objective, stage, phase.steps):
            z, done = moved, done + 1
            late = seconds is not None and time.monotonic() - began > seconds
            if late or (stage == model.stages - 1 and done % _LOOK == 0):
                search.look(z[:candidates])
                yield search.found(candidates, done, began)
            if late:
                return


class _Search:
    """A search and the best that it has seen."""

    def __init__(
        self, model: Model, wish: Wish, directions: torch.Tensor, conditions: Mapping[str, str | float] | None
    ) -> None:
        self.model, self.wish, self.conditions = model, wish, conditions
        self.directions = directions.to(model.device)
        self.coarse = has_bf16(model.device)
        size = model.card.architecture.latent
        shape = model.card.architecture.shape(model.stages - 1)
        self.latents = np.empty((0, size), np.float32)
        self.labels, self.scores = np.empty((0, *shape), np.uint8), np.empty(0)

    def look(self, z: torch.Tensor) -> None:
        """See in float32 what latents draw, and keep the latent of each row that is the best of that row so far."""
        with torch.inference_mode():
            x = self.model.generate(z, conditions=self.conditions)
        labels, latents = self.model.encoding.decode(x).cpu().numpy(), z.cpu().numpy().copy()
        scores = self.wish.score(labels)
        if len(self.scores) != len(scores):
            self.latents, self.labels, self.scores = latents, labels, scores
            return
        better = scores > self.scores
        self.latents[better], self.labels[better], self.scores[better] = latents[better], labels[better], scores[better]

    def nearest(self, z: torch.Tensor, objective: Objective, stage: int, count: int) -> torch.Tensor:
        """Those latents whose images of a stage are nearest to the wish."""
        if len(z) <= count:
            return z
        with torch.inference_mode():
            far = objective(self.model.generate(z, stage=stage, conditions=self.conditions))
        return z[far.argsort(stable=True)[:count]].clone()

    def walk(self, z: torch.Tensor, objective: Objective, stage: int, steps: int) -> Iterator[torch.Tensor]:
        """Latents after each step of the optimiser."""
        y = (self._on_sphere(z) @ self.directions).clone().requires_grad_(True)
        optimizer = torch.optim.Adam([y], lr=_RATE, betas=_BETAS)
        for _ in range(steps):
            optimizer.zero_grad()
            z = y @ self.directions.T
            with torch.autocast(z.device.type, torch.bfloat16, enabled=self.coarse):
                x = self.model.generate(z, stage=stage, conditions=self.conditions)
            objective(x).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                y.copy_(self._on_sphere(y))
            yield (y @ self.directions.T).detach()

    def found(self, count: int, steps: int, began: float) -> Found:
        """The best, kept apart."""
        order = np.argsort(-self.scores, kind="stable")
        unit = self.latents / np.linalg.norm(self.latents, axis=1, keepdims=True)
        kept: list[int] = []
        for row in order:
            if all(unit[row] @ unit[other] <= _APART for other in kept):
                kept.append(int(row))
        rows = kept[:count]
        return Found(self.latents[rows], self.labels[rows], self.scores[rows], steps, time.monotonic() - began)

    def _on_sphere(self, z: torch.Tensor) -> torch.Tensor:
        if not self.model.card.architecture.sphere:
            return z
        return torch.nn.functional.normalize(z, dim=1) * z.shape[1] ** 0.5
