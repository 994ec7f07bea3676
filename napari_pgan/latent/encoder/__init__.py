"""Encoding: find the latents of images or label maps."""

from napari_pgan.latent.encoder.fidelity import Fidelity, Verdict, judge, recorded_fidelity
from napari_pgan.latent.encoder.learning import Learning, learn_encoders
from napari_pgan.latent.encoder.refinement import Refined, refine
from napari_pgan.model.encoders import encode

__all__ = [
    "Fidelity",
    "Learning",
    "Refined",
    "Verdict",
    "encode",
    "judge",
    "learn_encoders",
    "recorded_fidelity",
    "refine",
]
