"""Fidelity of reconstructions, and whether a model can express an image."""

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

_HELD_OUT = 3_900_000_000  # first seed of the samples on which encoders are measured
_MEASURED, _BATCH = 12, 4
_AIR = -0.95  # pixels above it in any modality belong to the head
_COARSE = 1 / 32  # share of the shorter side; finer detail is noise and texture, which a latent does not hold
_ENOUGH = 0.4  # share of own samples' explained variance; phantoms reach it with the shipped model, patients do not


@dataclass(frozen=True)
class Fidelity:
    """Similarity of images and their reconstructions.

    Parameters
    ----------
    correlation
        (N, M) float64, Pearson correlation over the pixels of either head; 0 if one of them is constant.
    error
        (N, M) float64, root mean square difference over the same pixels, as a share of the intensity range, 0 to 1.
    explained
        (N, M) float64, share of the image's variance within its own head that the reconstruction explains (coefficient
        of determination), without detail finer than a 32nd of the image: 1 for identical images, 0 for a constant head,
        negative if worse. It counts neither the outline, which most heads share, nor noise.
    """

    correlation: np.ndarray
    error: np.ndarray
    explained: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, found: np.ndarray) -> Fidelity:
        """Compare images and reconstructions, (N, M, …) in [-1, 1]."""
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
    """Return `Fidelity.explained` of one image (M, …), (M,); 0 without a head, or for a constant one."""
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
    """Whether a model can express an image: ``own``, ``near``, ``beyond`` or ``unfinished``, and a sentence on it."""

    name: str
    sentence: str


_VERDICTS = {
    "own": "The model expresses this image as well as its own samples.",
    "near": "The model comes near this image, but not as near as to its own samples.",
    "beyond": "The model cannot express this image.",
    "unfinished": "The model has not come near this image yet.",
}


def judge(explained: float, own: Mapping[str, Any], steps: int) -> Verdict:
    """Return whether a model can express an image.

    Parameters
    ----------
    explained
        `Fidelity.explained` of the refined reconstruction, mean over modalities.
    own
        The card's measurement of the model's own samples (`measure_fidelity`): at ``least`` or above, an image is
        expressed as well as they are; below ``limit`` it is not expressed, given as many ``steps``.
    steps
        Steps of `refine`; with fewer than ``own`` had, the verdict is never "cannot".
    """
    name = "own" if explained >= own["least"] else "near" if explained >= own["limit"] else "beyond"
    if steps >= own["steps"] or name == "own":
        return Verdict(name, _VERDICTS[name])
    name = "unfinished" if name == "beyond" else name
    return Verdict(name, f"{_VERDICTS[name]} That is after {steps} of {own['steps']} steps; give it more time.")


def recorded_fidelity(model: Model) -> dict[str, Any]:
    """Return the fidelity of the model's own samples as its card records it (`measure_fidelity`).

    Raises
    ------
    InputError
        The model has no encoders, or an earlier version measured them.
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
    """Measure how well the model's own samples, unseen by its encoders, are reconstructed: a reference for real images.

    Parameters
    ----------
    model
        A model with encoders.
    progress
        Called with the share that is done.
    steps
        Steps of `refine`.

    Returns
    -------
    dict
        JSON values: ``correlation``, ``error`` and ``explained`` (modality → mean over samples) after refinement;
        ``encoded``, the mean correlation before it; ``dice`` of the segmentations (None without any); ``least``, the
        smallest explained share of a sample; ``limit``, 0.4 of the mean explained share.
    """
    conditions = model.card.default_conditions
    batch = model.sample(seeds=range(_HELD_OUT, _HELD_OUT + _MEASURED), conditions=conditions)
    channels, first, images, labels = model.card.channels, [], [], []
    for start in range(0, _MEASURED, _BATCH):
        part = batch.images[start : start + _BATCH]
        every = list(refine(model, encode(model, images=part), images=part, steps=steps, conditions=conditions))
        first.append(every[0].images)
        images.append(every[-1].images)
        labels.append(every[-1].labels)
        progress(min(1.0, (start + _BATCH) / _MEASURED))
    found = Fidelity.of(batch.images, np.concatenate(images))
    each = found.explained.mean(axis=1)

    def by_modality(figures: np.ndarray) -> dict[str, float]:
        return dict(zip(channels.modalities, figures.mean(axis=0).round(4).tolist(), strict=True))

    overlaps = np.empty(0)
    if channels.labels:
        pairs = zip(batch.labels, np.concatenate(labels), strict=True)
        overlaps = np.concatenate([TargetMask.of(a, channels, model.card.grid).dice(b[None])[0] for a, b in pairs])
    return {
        "images": _MEASURED,
        "steps": steps,
        "correlation": by_modality(found.correlation),
        "error": by_modality(found.error),
        "explained": by_modality(found.explained),
        "encoded": round(float(Fidelity.of(batch.images, np.concatenate(first)).correlation.mean()), 4),
        "dice": round(float(np.nanmean(overlaps)), 4) if np.isfinite(overlaps).any() else None,
        "least": round(float(each.min()), 4),
        "limit": round(_ENOUGH * float(each.mean()), 4),
    }
