"""Synthetic subjects with a glioma and known ground truth: anatomy, tumour growth and MR signal."""

from napari_pgan.phantom.cohort import write_cohort
from napari_pgan.phantom.subject import CHANNELS, PhantomSubject, make_subject

__all__ = ["CHANNELS", "PhantomSubject", "make_subject", "write_cohort"]
