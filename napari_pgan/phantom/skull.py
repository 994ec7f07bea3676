"""Skull and scalp round a brain: shells of the distance to it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_pgan.phantom.anatomy import COARSE
from napari_pgan.phantom.fields import Lattice, random_field
from napari_pgan.phantom.signal import NAMES


def head_shares(
    seed: int, lattice: Lattice, inside: np.ndarray, brain: np.ndarray, shares: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Put fluid, skull, fat and skin round the brain.

    Seen from the brain: 2 mm of fluid, two tables of bone with marrow between them, fat with fibrous strands, skin.
    There are no face, eyes or neck.

    Parameters
    ----------
    seed
        Of the subject.
    lattice
        The grid of the images.
    inside
        Millimetres to the brain's surface, positive inside, (z, y, x).
    brain
        The brain, (z, y, x) bool.
    shares
        Tissue name to share of the voxel, (n,) over the brain.

    Returns
    -------
    tuple
        The head, (z, y, x) bool, and tissue name to share over the head.
    """
    rng = np.random.default_rng([seed, 5])
    axes = [lattice.axis(d) for d in range(3)]
    bone_field, fat_field, strand_field = (
        COARSE.resample(random_field(rng, COARSE, s), axes) for s in (25.0, 30.0, 7.0)
    )
    # The outside of a head does not follow the notches of the brain: close them first.
    out = _outside(brain, lattice.spacing)
    fluid_end = 2.0
    bone_end = fluid_end + 6.0 * np.exp(0.15 * bone_field)
    fat_end = bone_end + 5.0 * np.exp(0.25 * fat_field)
    skin_end = fat_end + 2.5
    head = brain | (out < skin_end)
    soft = max(0.35 * lattice.spacing, 0.5)

    def shell(start: np.ndarray | float, end: np.ndarray) -> np.ndarray:
        share = 0.5 * (np.tanh((out - start) / soft) - np.tanh((out - end) / soft))
        return np.where(brain, 0, np.clip(share, 0, 1))[head].astype(np.float32)

    middle = (bone_end - fluid_end) / 3
    marrow = shell(fluid_end + middle, bone_end - middle) * (0.5 + 0.5 * np.tanh(bone_field))[head]
    bone = np.clip(shell(fluid_end, bone_end) - marrow, 0, 1)
    strands = 0.25 * np.clip(strand_field, 0, 1.5)[head]
    fat, skin = shell(bone_end, fat_end), shell(fat_end, skin_end)
    full = {name: np.zeros(int(head.sum()), np.float32) for name in NAMES}
    at = brain[head]
    for name, share in shares.items():
        full[name][at] = share
    full["bone"], full["marrow"] = bone, marrow
    full["fat"] = fat * (1 - strands)
    full["muscle"] = skin + fat * strands
    full["fluid"] = full["fluid"] + np.where(at, 0, np.clip(1 - bone - marrow - fat - skin, 0, 1)) * (out[head] < 4)
    return head, full


def _outside(brain: np.ndarray, spacing: float) -> np.ndarray:
    steps = max(round(8 / spacing), 1)
    padded = np.pad(brain, steps)
    near = ndimage.distance_transform_edt(~padded) * spacing
    closed = ndimage.distance_transform_edt(near < 8) * spacing > 8
    closed = (closed | padded)[(slice(steps, -steps),) * 3]
    return (ndimage.distance_transform_edt(~closed) * spacing - spacing / 2).astype(np.float32)
