"""Slices of small phantoms and an encoder of them, made once for all tests that compare images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_pgan.evaluation.likeness.encoder import Encoder, train_encoder
from napari_pgan.store import open_store


@dataclass(frozen=True)
class Reals:
    """Slices of 32 pixels of six phantoms."""

    images: np.ndarray
    fractions: np.ndarray
    subject: np.ndarray


@cache
def reals(store: Path) -> Reals:
    """Of the store."""
    slices = open_store(store).load_slices(None)
    return Reals(slices.images, slices.labels, slices.subject)


@cache
def encoder(store: Path) -> Encoder:
    """Trained on them for some seconds."""
    return train_encoder(reals(store).images, reals(store).subject, steps=25)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """Out of focus by so many pixels."""
    return gaussian_filter(images, (0, 0, sigma, sigma))


def noisier(images: np.ndarray, sigma: float) -> np.ndarray:
    """With noise of that deviation."""
    noise = np.random.default_rng(7).standard_normal(images.shape).astype(np.float32)
    return images + np.float32(sigma) * noise
