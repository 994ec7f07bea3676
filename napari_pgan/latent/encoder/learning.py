"""Training of encoders on the generator's own samples; no image of a cohort is needed.

Many latent directions hardly change the image, so the latent cannot be recovered from it. The loss therefore compares
images (through the generator), with a small weight on the latent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from napari_pgan.latent.directions import visible_directions
from napari_pgan.latent.encoder.fidelity import measure_fidelity
from napari_pgan.latent.steering.objective import label_logits
from napari_pgan.model import Encoders, EncoderShape, Model
from napari_pgan.model.encoders import Encoder, encoder_stage, reduced

FIRST_SEED = 3_200_000_000  # beyond the seeds that users choose and those of the banks
_COMPONENTS, _HIDDEN = 256, 512
_SAMPLES, _SAMPLE_BATCH = 6144, 32  # training samples, and how many are generated together
_PROBES, _PROBE_BATCH = 512, 32  # latents from which the directions are computed
_BATCH = 128
_RATE = 1e-3
_NOISE = 0.02  # added to the inputs, so that encoders do not rely on details that real images lack
_MIN_VARIANCE = 1e-4  # components below it are noise
_RIDGE = 0.05
_LATENT, _PICTURE = 0.03, 20.0  # weights of the losses


@dataclass(frozen=True)
class Learning:
    """Trained encoders and their measurements.

    Parameters
    ----------
    encoders
        On the model's device.
    measures
        JSON values for the card: number of samples, and the fidelity of the model's own samples.
    """

    encoders: Encoders
    measures: dict[str, Any]


Progress = Callable[[str, float], None]


def learn_encoders(model: Model, seconds: float = 180.0, progress: Progress = lambda what, share: None) -> Learning:
    """Train encoders of a model's images and, where it has labels, of its segmentations.

    Parameters
    ----------
    model
        Its generator does not change.
    seconds
        Training time of both encoders together, without sampling and measuring.
    progress
        Called with a description and the share that is done; an exception that it raises stops the work.
    """
    shape = EncoderShape(encoder_stage(model), _COMPONENTS, _HIDDEN)
    architecture = model.card.architecture
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoders = Encoders(architecture, model.card.channels, shape).to(model.device)
        samples = _Samples(model, shape.stage)
        encoders.directions.copy_(image_directions(model))
        samples.fill(progress)
        kinds = {"images": encoders.images, **({} if encoders.labels is None else {"labels": encoders.labels})}
        for kind, network in kinds.items():
            network.rest.copy_(encoders.directions[:, 0])
            _learn(network, samples, kind, seconds / len(kinds), progress)
    encoders.eval().requires_grad_(False)
    learnt = Model(model.card, model.generator, encoders)
    own = measure_fidelity(learnt, lambda share: progress("measuring", share))
    return Learning(encoders, {"samples": len(samples.z), "own": own})


def image_directions(model: Model, count: int = _PROBES) -> torch.Tensor:
    """Return the latent directions that change the modalities, weakest first: (L, L), see `visible_directions`.

    `refine` uses them as coordinates and then needs about a third of the steps.
    """
    stage = max(0, model.stages - 2)
    samples = _Samples(model, stage)

    def draws() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(0, count, _PROBE_BATCH):
            z, conditions = samples.latents(_PROBE_BATCH)
            yield z.requires_grad_(True), model.encoding.images(model.generator(z, stage=stage, conditions=conditions))

    return visible_directions(draws())


class _Samples:
    """Generates a model's own samples, reduced in size."""

    def __init__(self, model: Model, stage: int) -> None:
        self.model, self.stage, self.seen = model, stage, 0

    def latents(self, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the next latents, on the sphere, with random conditions."""
        seeds = range(FIRST_SEED + self.seen, FIRST_SEED + self.seen + count)
        self.seen += count
        z = torch.from_numpy(self.model.latents(seeds))
        z = F.normalize(z, dim=1) * math.sqrt(z.shape[1])
        columns = []
        for condition in self.model.card.conditions:
            if condition.levels:
                columns.append(F.one_hot(torch.randint(condition.size, (count,)), condition.size).float())
            else:
                columns.append(2 * torch.rand(count, 1) - 1)
        conditions = torch.cat(columns, dim=1).to(self.model.device) if columns else None
        return z.to(self.model.device), conditions

    def fill(self, progress: Progress) -> None:
        """Generate the training samples at full size and average them down, as real images will be."""
        parts = []
        for start in range(0, _SAMPLES, _SAMPLE_BATCH):
            z, conditions = self.latents(_SAMPLE_BATCH)
            with torch.no_grad():
                x = self.model.generator(z, conditions=conditions)
                images = self.model.encoding.images(x).clamp(-1, 1)
                labels = self.model.encoding.fractions(self.model.encoding.decode(x))
                small = [reduced(part, self.model, self.stage) for part in (images, labels)]
            parts.append((z, z[:, :0] if conditions is None else conditions, *small))
            progress("making samples", (start + _SAMPLE_BATCH) / _SAMPLES)
        self.z, self.conditions, self.images, self.labels = (torch.cat(part) for part in zip(*parts, strict=True))

    def output(self, kind: str, x: torch.Tensor) -> torch.Tensor:
        """Return the part of channels (N, C, …) that is compared with an encoder's input of this kind."""
        encoding = self.model.encoding
        return encoding.images(x) if kind == "images" else F.softmax(label_logits(x, encoding), dim=1)[:, 1:]


def _learn(network: Encoder, samples: _Samples, kind: str, seconds: float, progress: Progress) -> None:
    pictures = samples.images if kind == "images" else samples.labels
    _prepare(network, pictures.flatten(1), samples.z)
    rates = _falling(seconds, f"learning to encode {kind}", progress)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, betas=(0.9, 0.99), weight_decay=0.01)
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = torch.randint(len(pictures), (_BATCH,)).to(pictures.device)
        z, seen = samples.z[rows], pictures[rows]
        conditions = samples.conditions[rows] if samples.conditions.shape[1] else None
        estimate = network.estimate(seen + _NOISE * torch.randn(seen.shape).to(seen.device))
        found = network.complete(estimate)
        output = samples.output(kind, samples.model.generator(found, stage=samples.stage, conditions=conditions))
        loss = _LATENT * (estimate - z).square().mean() + _PICTURE * (output - seen).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def _falling(seconds: float, what: str, progress: Progress) -> Iterator[float]:
    """Yield learning rates until the time is over: a linear warm-up, then a cosine decay."""
    began, step = time.monotonic(), 0
    while (share := (time.monotonic() - began) / max(seconds, 1e-9)) < 1 or not step:
        step += 1
        progress(what, min(share, 1.0))
        yield _RATE * min(1.0, step / 30) * (0.5 + 0.5 * math.cos(math.pi * min(share, 1.0)) + 1e-3)
    progress(what, 1.0)


@torch.no_grad()
def _prepare(network: Encoder, pictures: torch.Tensor, z: torch.Tensor) -> None:
    """Set the principal components, and the linear map to latents by ridge regression."""
    network.mean.copy_(pictures.mean(dim=0))
    centred = pictures - network.mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    count = min(len(network.basis), len(values))
    whitening = vectors.flip(1)[:, :count] / (values.flip(0)[:count].clamp(min=0) + _MIN_VARIANCE).sqrt()
    network.basis[:count] = whitening.T
    found = centred @ network.basis.T
    gram = found.T @ found / len(found) + _RIDGE * torch.eye(found.shape[1], device=found.device)
    network.linear.weight.copy_(torch.linalg.solve(gram, found.T @ z / len(found)).T)
    network.linear.bias.zero_()
    network.last.weight.mul_(0.1)
