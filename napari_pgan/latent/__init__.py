"""Latents: seeds, paths, walks, steering and encoders."""

from napari_pgan.latent.paths import KeyFrame, Walk, lerp, slerp, via_origin, walk
from napari_pgan.latent.render import chunks, sample_part, sample_walk
from napari_pgan.latent.seeds import format_seeds, parse_seeds
from napari_pgan.latent.walk_plan import WalkPlan, read_plan

__all__ = [
    "KeyFrame",
    "Walk",
    "WalkPlan",
    "chunks",
    "format_seeds",
    "lerp",
    "parse_seeds",
    "read_plan",
    "sample_part",
    "sample_walk",
    "slerp",
    "via_origin",
    "walk",
]
