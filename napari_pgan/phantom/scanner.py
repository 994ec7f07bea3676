"""Simulate a scan: tissue signal with bias field, noise and gain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_pgan.phantom.anatomy import COARSE
from napari_pgan.phantom.fields import random_field
from napari_pgan.phantom.signal import MODALITIES, draw_protocol, mixed_signal, rician
from napari_pgan.phantom.tumour import TILE


def scan(
    seed: int, axes: Sequence[np.ndarray], head: np.ndarray, brain: np.ndarray, shares: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Simulate the images of a head with random scanner settings.

    Parameters
    ----------
    seed
        Seed of the subject.
    axes
        Voxel centres along z, y, x in mm.
    head, brain
        Masks (z, y, x) of all signal and of the brain. If both are the same array, the background is 0.
    shares
        Tissue name → fraction (n,) over the head.

    Returns
    -------
    tuple
        Modality → image (z, y, x) float32, and the settings.
    """
    rng = np.random.default_rng([seed, 4])
    protocol = draw_protocol(rng)
    points = np.stack(np.meshgrid(*axes, indexing="ij"))[:, head]
    fields = [TILE.sample(random_field(rng, TILE, scale), points, mode="grid-wrap") for scale in (4.0, 7.0, 16.0)]
    fine = (0.8 * fields[0] + 0.6 * fields[1]).astype(np.float32)
    broad = (0.6 * fields[1] + 0.8 * fields[2]).astype(np.float32)
    texture = {name: broad if name in ("white", "grey", "fat") else fine for name in shares}
    coil = [random_field(rng, COARSE, 90.0) for _ in range(2)]
    images = {}
    in_brain = brain[head]
    settings: dict[str, Any] = dict(vars(protocol))
    for modality in MODALITIES:
        signal = mixed_signal(protocol, shares, texture, modality)
        strength, mix = rng.uniform(0.03, 0.10), rng.uniform(0.3, 0.9)
        bias = np.exp(strength * COARSE.resample(mix * coil[0] + (1 - mix) * coil[1], axes))[head]
        level = float(np.median(signal[in_brain]))
        noise = float(rng.uniform(0.012, 0.03))
        unit = float(rng.uniform(250, 700)) / level
        image = np.zeros(head.shape, np.float32)
        if head is not brain:
            image = rician(rng, image, noise * level)
        image[head] = rician(rng, signal * bias, noise * level)
        image *= unit
        image[brain] = np.maximum(image[brain], 1)  # 0 is outside, as in BraTS
        images[modality] = image
        settings[f"{modality}_noise"] = noise
    return images, settings
