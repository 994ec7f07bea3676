"""Skull and scalp around a brain, as shells of constant distance."""

from __future__ import annotations

import numpy as np

from napari_pgan.imaging.registration.head_template import distances_outside
from napari_pgan.phantom.anatomy import COARSE
from napari_pgan.phantom.fields import Lattice, random_field
from napari_pgan.phantom.signal import NAMES


def head_shares(
    seed: int, lattice: Lattice, brain: np.ndarray, shares: dict[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Add fluid, skull, fat and skin around the brain.

    From inside to outside: 2 mm of fluid, two tables of bone with marrow between them, fat with fibrous strands, skin.
    Face, eyes and neck are missing.

    Parameters
    ----------
    seed
        Seed of the subject.
    lattice
        Grid of the images.
    brain
        Brain mask, (z, y, x) bool.
    shares
        Tissue name → fraction (n,) over the brain.

    Returns
    -------
    tuple
        Head mask (z, y, x) bool, and tissue name → fraction over the head.
    """
    rng = np.random.default_rng([seed, 5])
    axes = [lattice.axis(d) for d in range(3)]
    bone_field, fat_field, strand_field = (
        COARSE.resample(random_field(rng, COARSE, s), axes) for s in (25.0, 30.0, 7.0)
    )
    near, out = (x.astype(np.float32) for x in distances_outside(brain, lattice.spacing))
    fluid_end = 2.0
    bone_end = fluid_end + 6.0 * np.exp(0.10 * bone_field)
    fat_end = bone_end + 5.0 * np.exp(0.2 * fat_field)
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
    rest = np.where(at, 0, np.clip(1 - bone - marrow - fat - skin, 0, 1)) * (out[head] < 4)
    base = np.clip((near[head] - 3) / 2, 0, 1)  # narrow hollows of the brain contain fluid, wide ones bone
    full["fluid"] += rest * (1 - base)
    full["bone"] += 0.6 * rest * base
    full["muscle"] += 0.4 * rest * base
    return head, full
