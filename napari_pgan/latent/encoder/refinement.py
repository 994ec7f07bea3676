"""Refinement of an encoding by gradient descent through the generator."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from napari_pgan.errors import InputError
from napari_pgan.latent.steering.target import Loss
from napari_pgan.latent.steering.target_mask import TargetMask
from napari_pgan.model import Model
from napari_pgan.model.bfloat16 import has_bf16
from napari_pgan.model.encoders import image_tensor, label_tensor

STEPS = 200
_RATES = (0.1, 0.01)  # first and last learning rate
_BETAS = (0.9, 0.99)
_EVERY = 10  # steps between two evaluations at full precision
_LABELS = 0.1  # weight of the segmentation relative to the modalities


@dataclass(frozen=True)
class Refined:
    """The best latent so far for each image.

    Parameters
    ----------
    latents
        (N, L) float32.
    images
        (N, M, …) float32 in [-1, 1], the reconstructions.
    labels
        (N, …) uint8.
    losses
        (N,): mean absolute difference over all pixels and modalities, plus a term for given labels.
    steps
        Number of steps so far.
    seconds
        Time since the start.
    """

    latents: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    losses: np.ndarray
    steps: int
    seconds: float

    def __len__(self) -> int:
        return len(self.latents)


def refine(
    model: Model,
    latents: np.ndarray,
    *,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    seconds: float | None = None,
    steps: int = STEPS,
    conditions: Mapping[str, str | float] | None = None,
) -> Iterator[Refined]:
    """Optimise latents to reconstruct images; yields the best so far, first of the start, then every few steps.

    The caller may stop iterating at any time. Latents stay on their sphere, on which all are equally likely, so none
    leaves what the model has learnt.

    Parameters
    ----------
    model
        A model; without encoders the refinement is slower.
    latents
        (N, L), the start, as `encode` returns them.
    images
        (N, M, …) in [-1, 1] on the model's grid.
    labels
        (N, …) in the model's label values: segmentations to match as well.
    seconds
        Time limit.
    steps
        Maximum number of steps.
    conditions
        See `Model.sample`.

    Raises
    ------
    InputError
        An argument does not fit the model.
    """
    began, search = time.monotonic(), _Descent(model, images, labels, conditions)
    z = torch.as_tensor(np.asarray(latents, np.float32)).to(model.device)
    if len(z) != len(search.target):
        raise InputError(f"{len(z)} latents were given for {len(search.target)} images; give one for each")
    search.evaluate(z)
    yield search.refined(0, began)
    directions = torch.eye(z.shape[1]) if model.encoders is None else model.encoders.directions
    directions = directions.to(z)
    y = (search.on_sphere(z) @ directions).clone().requires_grad_(True)
    optimizer, coarse = torch.optim.Adam([y], betas=_BETAS), has_bf16(model.device)
    for step in range(1, steps + 1):
        passed = 0.0 if seconds is None else (time.monotonic() - began) / max(seconds, 1e-9)
        share = min(1.0, max(passed, (step - 1) / steps))
        for group in optimizer.param_groups:
            group["lr"] = _RATES[0] + share * (_RATES[1] - _RATES[0])
        optimizer.zero_grad()
        with torch.autocast(z.device.type, torch.bfloat16, enabled=coarse):
            x = model.generate(y @ directions.T, conditions=conditions)
        search.losses_of(x.float()).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            y.copy_(search.on_sphere(y))
        late = seconds is not None and time.monotonic() - began > seconds
        if late or step % _EVERY == 0 or step == steps:
            search.evaluate((y @ directions.T).detach())
            yield search.refined(step, began)
        if late:
            return


class _Descent:
    """The images to reconstruct, and the best latents so far."""

    def __init__(
        self,
        model: Model,
        images: np.ndarray,
        labels: np.ndarray | None,
        conditions: Mapping[str, str | float] | None,
    ) -> None:
        self.model, self.conditions, self.target = model, conditions, image_tensor(model, images)
        self.objectives: list[Loss] = []
        if labels is not None:
            for row in label_tensor(model, labels).cpu().numpy():
                mask = TargetMask.of(row, model.card.channels, model.card.grid)
                self.objectives.append(mask.objective(model.encoding))
        self.best: Refined | None = None

    def losses_of(self, x: torch.Tensor) -> torch.Tensor:
        """Return the losses (N,) of channels (N, C, …)."""
        losses = (self.model.encoding.images(x) - self.target).abs().flatten(1).mean(dim=1)
        if self.objectives:
            every = [objective(x[i : i + 1]) for i, objective in enumerate(self.objectives)]
            losses = losses + _LABELS * torch.cat(every)
        return losses

    def evaluate(self, z: torch.Tensor) -> None:
        """Evaluate latents in float32, and keep the better of each row."""
        z = self.on_sphere(z)
        with torch.inference_mode():
            x = self.model.generate(z, conditions=self.conditions).float()
            losses = self.losses_of(x).cpu().numpy()
        images, labels = self.model.encoding.images(x).clamp(-1, 1), self.model.encoding.decode(x)
        now = Refined(z.cpu().numpy(), images.cpu().numpy(), labels.cpu().numpy(), losses, 0, 0.0)
        if self.best is not None:
            for name in ("latents", "images", "labels", "losses"):
                worse = losses >= self.best.losses
                getattr(now, name)[worse] = getattr(self.best, name)[worse]
        self.best = now

    def refined(self, steps: int, began: float) -> Refined:
        best = self.best
        assert best is not None
        return Refined(best.latents, best.images, best.labels, best.losses, steps, time.monotonic() - began)

    def on_sphere(self, z: torch.Tensor) -> torch.Tensor:
        return F.normalize(z, dim=1) * z.shape[1] ** 0.5
