"""How well an image came back, and whether a model can express it at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_pgan.latent.encode import encode
from napari_pgan.latent.encoder.refinement import STEPS, refine
from napari_pgan.model import Model
from napari_pgan.spec import Channels

_HELD_OUT = 3_900_000_000  # first seed of the samples that encoders are measured on
_MEASURED, _AT_ONCE = 12, 4
_AIR = -0.95  # what is above it in any modality belongs to the head


@dataclass(frozen=True)
class Fidelity:
    """Images beside their reconstructions, over the pixels of either's head.

    Parameters
    ----------
    correlation
        (N, M) float64, Pearson's; 0 where one of both is flat.
    error
        (N, M) float64, root mean square difference as a share of the range of intensities, 0 to 1.
    """

    correlation: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, found: np.ndarray) -> Fidelity:
        """Of images and reconstructions, (N, M, …) in [-1, 1]."""
        correlation, error = np.zeros(images.shape[:2]), np.zeros(images.shape[:2])
        for n, (a, b) in enumerate(zip(images, found, strict=True)):
            head = (a > _AIR).any(axis=0) | (b > _AIR).any(axis=0)
            if not head.any():
                continue
            one, two = a[:, head].astype(np.float64), b[:, head].astype(np.float64)
            error[n] = np.sqrt(np.square(one - two).mean(axis=1)) / 2
            one, two = one - one.mean(axis=1, keepdims=True), two - two.mean(axis=1, keepdims=True)
            sizes = np.sqrt(np.square(one).sum(axis=1) * np.square(two).sum(axis=1))
            correlation[n] = np.where(sizes > 1e-9, (one * two).sum(axis=1) / np.maximum(sizes, 1e-9), 0.0)
        return cls(correlation, error)


@dataclass(frozen=True)
class Verdict:
    """Whether a model can express an image: ``own``, ``near`` or ``beyond``, and the sentence for people."""

    name: str
    sentence: str


_VERDICTS = {
    "own": "The model expresses this image as well as its own samples.",
    "near": "The model comes near to this image, though less so than to its own samples.",
    "beyond": "The model cannot express this image.",
}


def judge(correlation: float, own: Mapping[str, Any]) -> Verdict:
    """Say whether a model can express an image.

    Parameters
    ----------
    correlation
        Of the refined reconstruction, the mean over modalities (`Fidelity.correlation`).
    own
        What the card's encoders tell of the model's own samples (`own_fidelity`): from ``least`` on an image comes back
        as they do; below ``limit`` it does not come back.
    """
    name = "own" if correlation >= own["least"] else "near" if correlation >= own["limit"] else "beyond"
    return Verdict(name, _VERDICTS[name])


def own_fidelity(
    model: Model, progress: Callable[[float], None] = lambda share: None, steps: int = STEPS
) -> dict[str, Any]:
    """How well samples that the encoders have not seen come back, so that a real image has something to stand beside.

    Parameters
    ----------
    model
        With encoders.
    progress
        Called with the share that is done.
    steps
        Of `refine`.

    Returns
    -------
    dict
        JSON values: ``correlation`` and ``error`` (modality → mean over samples) after refinement, ``encoded``, the
        mean correlation before it; ``dice`` of their segmentations (None without any); ``least``, the smallest
        correlation of a sample; ``unrelated``, the mean correlation of two samples that have nothing to do with each
        other; ``limit``, halfway from there to the own samples' mean: above it, an image has come back.
    """
    told = model.card.usual_conditions
    batch = model.sample(seeds=range(_HELD_OUT, _HELD_OUT + _MEASURED), conditions=told)
    channels, first, images, labels = model.card.channels, [], [], []
    for start in range(0, _MEASURED, _AT_ONCE):
        part = batch.images[start : start + _AT_ONCE]
        every = list(refine(model, encode(model, images=part), images=part, steps=steps, conditions=told))
        first.append(every[0].images)
        images.append(every[-1].images)
        labels.append(every[-1].labels)
        progress(min(1.0, (start + _AT_ONCE) / _MEASURED))
    found = Fidelity.of(batch.images, np.concatenate(images))
    each = found.correlation.mean(axis=1)
    unrelated = float(Fidelity.of(batch.images, np.roll(batch.images, 1, axis=0)).correlation.mean())
    overlaps = [
        value
        for a, b in zip(batch.labels, np.concatenate(labels), strict=True)
        for value in dice(a, b, channels).values()
        if value is not None
    ]
    return {
        "images": _MEASURED,
        "steps": steps,
        "correlation": dict(zip(channels.modalities, found.correlation.mean(axis=0).round(4).tolist(), strict=True)),
        "error": dict(zip(channels.modalities, found.error.mean(axis=0).round(4).tolist(), strict=True)),
        "encoded": round(float(Fidelity.of(batch.images, np.concatenate(first)).correlation.mean()), 4),
        "dice": round(float(np.mean(overlaps)), 4) if overlaps else None,
        "least": round(float(each.min()), 4),
        "unrelated": round(unrelated, 4),
        "limit": round((unrelated + float(each.mean())) / 2, 4),
    }


def dice(wanted: np.ndarray, found: np.ndarray, channels: Channels) -> dict[str, float | None]:
    """Dice of two label maps, label by label; None for one that is in neither."""
    result: dict[str, float | None] = {}
    for label in channels.labels:
        a, b = wanted == label.value, found == label.value
        size = int(a.sum() + b.sum())
        result[label.name] = 2 * int((a & b).sum()) / size if size else None
    return result
