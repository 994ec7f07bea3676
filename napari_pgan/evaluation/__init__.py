"""Metrics of a trained model, one per file."""

from napari_pgan.evaluation.likeness.swd import sliced_wasserstein

__all__ = ["sliced_wasserstein"]
