"""What one can do with a latent."""

from napari_pgan.latent.paths import KeyFrame, Walk, lerp, slerp, via_origin, walk
from napari_pgan.latent.plan import Plan, read_plan
from napari_pgan.latent.render import sample_walk

__all__ = ["KeyFrame", "Plan", "Walk", "lerp", "read_plan", "sample_walk", "slerp", "via_origin", "walk"]
