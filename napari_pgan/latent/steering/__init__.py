"""From a segmentation to latents that would draw it."""

from napari_pgan.latent.steering.bank import Bank, kept_bank, make_bank
from napari_pgan.latent.steering.candidates import Found
from napari_pgan.latent.steering.edits import grown, moved, removed
from napari_pgan.latent.steering.preserve import Keep
from napari_pgan.latent.steering.refine import refine
from napari_pgan.latent.steering.search import steer
from napari_pgan.latent.steering.target import Goal
from napari_pgan.latent.steering.target_areas import Numbers
from napari_pgan.latent.steering.target_mask import Wish, any_value

__all__ = [
    "Bank",
    "Found",
    "Goal",
    "Keep",
    "Numbers",
    "Wish",
    "any_value",
    "grown",
    "kept_bank",
    "make_bank",
    "moved",
    "refine",
    "removed",
    "steer",
]
