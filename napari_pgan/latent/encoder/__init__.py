"""From images or label maps to the latents that make them."""

from napari_pgan.latent.encode import encode
from napari_pgan.latent.encoder.fidelity import Fidelity, Verdict, judge, told_of_own
from napari_pgan.latent.encoder.learning import Learning, learn_encoders
from napari_pgan.latent.encoder.refinement import Refined, refine

__all__ = ["Fidelity", "Learning", "Refined", "Verdict", "encode", "judge", "learn_encoders", "refine", "told_of_own"]
