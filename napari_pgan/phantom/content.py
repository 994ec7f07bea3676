"""Tissue fractions and labels of brain voxels: healthy tissue, lesion, vessels."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from napari_pgan.phantom.fields import random_field
from napari_pgan.phantom.tumour import TILE, Tumour

NECROSIS, OEDEMA, ENHANCING = 1, 2, 4


def lesion_shares(
    tumour: Tumour, points: np.ndarray, tissue: np.ndarray, spacing: float
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Compute the tissue fractions and labels of voxels.

    Parameters
    ----------
    tumour
        The lesion.
    points
        (3, n) mm in the head before the mass effect.
    tissue
        (3, n) fractions of white matter, grey matter and fluid.
    spacing
        Voxel size in mm, which sets the softness of the core's borders.

    Returns
    -------
    tuple
        Tissue name → fraction (n,), and labels (n,) uint8.
    """
    core, necrosis, oedema, gap = tumour.depths(points, tissue)
    soft = 0.3 * spacing
    in_core, in_necrosis = _step(core / soft), _step(necrosis / soft)
    gapped = _step((gap - _gap_threshold(tumour.gaps)) / 0.15)
    wet = _step(oedema / max(soft, 1.0)) * (0.55 + 0.45 * np.clip(oedema / tumour.oedema_end, 0, 1))
    white, grey, fluid = tissue
    healthy = 1 - in_core
    wet_white, wet_grey = wet * white * healthy, 0.55 * wet * grey * healthy
    rim = in_core - np.minimum(in_necrosis, in_core)
    shares = {
        "white": white * healthy - wet_white,
        "grey": grey * healthy - wet_grey,
        "fluid": fluid * healthy,
        "oedema": wet_white + wet_grey,
        "solid": rim * gapped,
        "enhancing": rim * (1 - gapped),
        "necrosis": np.minimum(in_necrosis, in_core),
    }
    label = np.zeros(core.shape, np.uint8)
    label[(oedema > 0) & (fluid < 0.5)] = OEDEMA
    label[core > 0] = ENHANCING
    label[(core > 0) & ((necrosis > 0) | (gapped > 0.5))] = NECROSIS
    return shares, label


def add_vessels(
    shares: dict[str, np.ndarray], seed: int, points: np.ndarray, side: np.ndarray, depth: np.ndarray
) -> None:
    """Add vessels in the sulci (where two random fields are both near 0) and a sinus along the midline, in place."""
    rng = np.random.default_rng([seed, 3])
    first, second = (TILE.sample(random_field(rng, TILE, 9.0), points, mode="grid-wrap") for _ in range(2))
    thread = np.exp(-(first**2 + second**2) / 0.03) * np.clip(1 - depth / 25, 0, 1)
    sinus = np.exp(-((side / 2.2) ** 2)) * np.clip(1.6 - depth / 3, 0, 1) * (points[0] > -20)
    taken = np.clip(thread + sinus, 0, 1) * np.clip(2 * shares["fluid"], 0, 1)
    for name in ("fluid", "grey"):
        shares[name] = shares[name] * (1 - taken)
    shares["vessel"] = np.clip(1 - np.sum(list(shares.values()), axis=0), 0, 1)


def _step(depth: np.ndarray) -> np.ndarray:
    return (0.5 * (1 + np.tanh(depth))).astype(np.float32)


def _gap_threshold(share: float) -> float:
    return float(ndtri(1 - max(share, 1e-3)))
