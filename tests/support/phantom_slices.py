"""Slices of small phantoms and an encoder trained on them, shared by all tests that compare images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_pgan.evaluation.likeness.feature_encoder import Encoder, train_encoder
from napari_pgan.store import open_store


@dataclass(frozen=True)
class RealSlices:
    """Slices of six phantoms, 32 × 32 pixels."""

    images: np.ndarray
    fractions: np.ndarray
    subject: np.ndarray


@cache
def real_slices(store: Path) -> RealSlices:
    """Load the slices of the store."""
    slices = open_store(store).load_slices(None)
    return RealSlices(slices.images, slices.labels, slices.subject)


@cache
def encoder(store: Path) -> Encoder:
    """An encoder trained for some seconds."""
    return train_encoder(real_slices(store).images, real_slices(store).subject, steps=25)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    """Blur images; `sigma` in pixels."""
    return gaussian_filter(images, (0, 0, sigma, sigma))


def noisier(images: np.ndarray, sigma: float) -> np.ndarray:
    """Add Gaussian noise."""
    noise = np.random.default_rng(7).standard_normal(images.shape).astype(np.float32)
    return images + np.float32(sigma) * noise
