"""Is a model any good: one measure a file."""

from napari_pgan.evaluation.likeness.swd import sliced_wasserstein

__all__ = ["sliced_wasserstein"]
