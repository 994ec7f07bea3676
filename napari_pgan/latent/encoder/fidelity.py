"""How well an image came back, and whether a model can express it at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from napari_pgan.errors import InputError
from napari_pgan.latent.encoder.refinement import STEPS, refine
from napari_pgan.latent.steering.target_mask import TargetMask
from napari_pgan.model import Model
from napari_pgan.model.encoders import encode, encoders_of

_HELD_OUT = 3_900_000_000  # first seed of the samples that encoders are measured on
_MEASURED, _AT_ONCE = 12, 4
_AIR = -0.95  # what is above it in any modality belongs to the head
_COARSE = 1 / 32  # of the shorter side: below this is noise and texture, which a latent does not hold
_ENOUGH = 0.4  # of what is explained of own samples; phantoms reach it with the shipped model, and patients do not


@dataclass(frozen=True)
class Fidelity:
    """Images beside their reconstructions.

    Parameters
    ----------
    correlation
        (N, M) float64, Pearson's, over the pixels of either's head; 0 where one of both is flat.
    error
        (N, M) float64, root mean square difference over the same, as a share of the range of intensities, 0 to 1.
    explained
        (N, M) float64, the share of the image's variance within its own head that the reconstruction explains (the
        coefficient of determination), without what is finer than a 32nd of the picture: 1 where both are the same, 0
        where it is no better than one grey all over the head, less than 0 where it is worse. It does not count the
        outline, which most heads have in common, nor noise.
    """

    correlation: np.ndarray
    error: np.ndarray
    explained: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, found: np.ndarray) -> Fidelity:
        """Of images and reconstructions, (N, M, …) in [-1, 1]."""
        correlation, error, explained = (np.zeros(images.shape[:2]) for _ in range(3))
        for n, (a, b) in enumerate(zip(images, found, strict=True)):
            explained[n] = _explained(a, b)
            head = (a > _AIR).any(axis=0) | (b > _AIR).any(axis=0)
            if not head.any():
                continue
            one, two = a[:, head].astype(np.float64), b[:, head].astype(np.float64)
            error[n] = np.sqrt(np.square(one - two).mean(axis=1)) / 2
            one, two = one - one.mean(axis=1, keepdims=True), two - two.mean(axis=1, keepdims=True)
            sizes = np.sqrt(np.square(one).sum(axis=1) * np.square(two).sum(axis=1))
            correlation[n] = np.where(sizes > 1e-9, (one * two).sum(axis=1) / np.maximum(sizes, 1e-9), 0.0)
        return cls(correlation, error, explained)


def _explained(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """As `Fidelity.explained` has it, of one image (M, …): (M,); 0 where there is no head, or a flat one."""
    head = (image > _AIR).any(axis=0)
    sigma = _COARSE * min(head.shape)
    weight = np.maximum(ndimage.gaussian_filter(head.astype(np.float64), sigma), 1e-6)
    shares = np.zeros(len(image))
    for m, pair in enumerate(zip(image, found, strict=True)):
        one, two = ((ndimage.gaussian_filter(x * head.astype(np.float64), sigma) / weight)[head] for x in pair)
        if (size := np.square(one - one.mean()).sum() if head.any() else 0.0) > 1e-9:
            shares[m] = 1 - np.square(one - two).sum() / size
    return shares


@dataclass(frozen=True)
class Verdict:
    """Whether a model can express an image: ``own``, ``near``, ``beyond`` or ``unfinished``, and the sentence for
    people."""

    name: str
    sentence: str


_VERDICTS = {
    "own": "The model expresses this image as well as its own samples.",
    "near": "The model comes near to this image, though less so than to its own samples.",
    "beyond": "The model cannot express this image.",
    "unfinished": "The model has not come near to this image yet.",
}


def judge(explained: float, own: Mapping[str, Any], steps: int) -> Verdict:
    """Say whether a model can express an image.

    Parameters
    ----------
    explained
        By the refined reconstruction, the mean over modalities (`Fidelity.explained`).
    own
        What the card tells of the model's own samples (`measure_fidelity`): from ``least`` on an image returns
        as they do; below ``limit`` it does not come back, if it had as many ``steps`` as they.
    steps
        Of `refine` that were done: after fewer than ``own`` had, nobody knows that the model cannot.
    """
    name = "own" if explained >= own["least"] else "near" if explained >= own["limit"] else "beyond"
    if steps >= own["steps"] or name == "own":
        return Verdict(name, _VERDICTS[name])
    name = "unfinished" if name == "beyond" else name
    return Verdict(name, f"{_VERDICTS[name]} That is after {steps} of {own['steps']} steps; give it more time.")


def recorded_fidelity(model: Model) -> dict[str, Any]:
    """What a model's card tells of its own samples, as `measure_fidelity` measured it.

    Raises
    ------
    InputError
        The model has no encoders, or they were measured by an earlier version, which did not tell this.
    """
    encoders_of(model)
    own: dict[str, Any] = model.card.encoders.get("own") or {}
    if "explained" not in own:
        raise InputError(
            "this model's encoders are of an earlier version; `napari-pgan-train encoder MODEL` makes new ones"
        )
    return own


def measure_fidelity(
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
        JSON values: ``correlation``, ``error`` and ``explained`` (modality → mean over samples) after refinement,
        ``encoded``, the mean correlation before it; ``dice`` of their segmentations (None without any); ``least``, the
        smallest share that is explained of a sample; ``limit``, 0.4 of the average share: below it, an image has not
        come back.
    """
    told = model.card.default_conditions
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
    each = found.explained.mean(axis=1)

    def told_by_modality(figures: np.ndarray) -> dict[str, float]:
        return dict(zip(channels.modalities, figures.mean(axis=0).round(4).tolist(), strict=True))

    overlaps = np.empty(0)
    if channels.labels:
        pairs = zip(batch.labels, np.concatenate(labels), strict=True)
        overlaps = np.concatenate([TargetMask.of(a, channels, model.card.grid).dice(b[None])[0] for a, b in pairs])
    return {
        "images": _MEASURED,
        "steps": steps,
        "correlation": told_by_modality(found.correlation),
        "error": told_by_modality(found.error),
        "explained": told_by_modality(found.explained),
        "encoded": round(float(Fidelity.of(batch.images, np.concatenate(first)).correlation.mean()), 4),
        "dice": round(float(np.nanmean(overlaps)), 4) if np.isfinite(overlaps).any() else None,
        "least": round(float(each.min()), 4),
        "limit": round(_ENOUGH * float(each.mean()), 4),
    }
