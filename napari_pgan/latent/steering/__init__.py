"""Steering: search for latents whose segmentation matches a target."""

from napari_pgan.latent.steering.bank import Bank, cached_bank, make_bank
from napari_pgan.latent.steering.candidates import Candidates
from napari_pgan.latent.steering.edits import grown, moved, removed
from napari_pgan.latent.steering.preserve import Preserve
from napari_pgan.latent.steering.refine import refine
from napari_pgan.latent.steering.search import steer
from napari_pgan.latent.steering.target import Target
from napari_pgan.latent.steering.target_areas import TargetAreas
from napari_pgan.latent.steering.target_mask import TargetMask, any_value

__all__ = [
    "Bank",
    "Candidates",
    "Preserve",
    "Target",
    "TargetAreas",
    "TargetMask",
    "any_value",
    "cached_bank",
    "grown",
    "make_bank",
    "moved",
    "refine",
    "removed",
    "steer",
]
