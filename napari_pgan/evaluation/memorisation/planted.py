"""Modified copies of real images, planted to test which copies the search would find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

from napari_pgan.evaluation.memorisation.nearest import FLIPS, flip, pose

_PIXEL = 1 / 64  # unit of blur and shift: one pixel of an image of 64 pixels


def _blurred(images: np.ndarray, pixels: float) -> np.ndarray:
    sigma = pixels * _PIXEL * min(images.shape[2:])
    return gaussian_filter(images, (0, 0, sigma, sigma))


def _shifted(images: np.ndarray, pixels: float, random: np.random.Generator) -> np.ndarray:
    steps = max(1, round(pixels * _PIXEL * min(images.shape[2:])))
    signs = random.choice([-1, 1], (len(images), 2)) * steps
    return np.stack([np.roll(image, tuple(sign), (1, 2)) for image, sign in zip(images, signs, strict=True)])


def _posed(images: np.ndarray, degrees: float, share: float, random: np.random.Generator) -> np.ndarray:
    """Rotate and zoom about the centre, in a random direction."""
    out = np.empty_like(images)
    for image, moved, side in zip(images, out, random.choice([-1, 1], len(images)), strict=True):
        matrix, offset = pose(side * degrees, (1 + share) ** float(side), images.shape[2:])
        for channel, target in zip(image, moved, strict=True):
            affine_transform(channel, matrix, offset, output=target, order=1, cval=-1)
    return out


def _gained(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    gain = random.uniform(0.9, 1.1, (*images.shape[:2], 1, 1))
    return np.clip((images + 1) * gain - 1, -1, 1).astype(np.float32)


def _noisy(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return (images + random.normal(0, 0.1, images.shape)).astype(np.float32)


def _all(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return _noisy(_gained(_shifted(_blurred(images, 1), 1, random), random), random)


KINDS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "unchanged": lambda images, _: images,
    "blurred": lambda images, _: _blurred(images, 2),
    "shifted": lambda images, random: _shifted(images, 2, random),
    "turned": lambda images, random: _posed(images, 5, 0, random),
    "zoomed": lambda images, random: _posed(images, 0, 0.05, random),
    "gain changed": _gained,
    "noisy": _noisy,
    "all of it": _all,
}
"""Modifications by kind, in addition to a random flip; see `DESCRIPTIONS`."""

DESCRIPTIONS: dict[str, str] = {
    "unchanged": "unchanged",
    "blurred": "blurred, with a standard deviation of 1/32 of the side",
    "shifted": "shifted by 1/32 of the side along both axes",
    "turned": "rotated by 5°",
    "zoomed": "enlarged or reduced by 5 %",
    "gain changed": "each modality brighter or darker by up to 10 %",
    "noisy": "with noise of 5 % of the intensity range",
    "all of it": "blurred and shifted by half as much, with gain and noise as above",
}


def plant(images: np.ndarray, kind: str, random: np.random.Generator) -> np.ndarray:
    """Return modified copies (N, M, Y, X) float32 of images, see `KINDS`."""
    flipped = [flip(image, i) for image, i in zip(images, random.integers(0, len(FLIPS), len(images)), strict=True)]
    return KINDS[kind](np.stack(flipped).astype(np.float32), random)
