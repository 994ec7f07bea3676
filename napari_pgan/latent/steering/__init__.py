"""From a segmentation to latents that would draw it."""

from napari_pgan.latent.steering.bank import Bank, kept_bank, make_bank
from napari_pgan.latent.steering.search import Found, steer
from napari_pgan.latent.steering.wish import Wish, any_value

__all__ = ["Bank", "Found", "Wish", "any_value", "kept_bank", "make_bank", "steer"]
