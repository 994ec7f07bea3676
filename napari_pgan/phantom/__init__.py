"""Subjects with a glioma whose truth is known: anatomy, growth and MR signal, without any patient's data."""

from napari_pgan.phantom.cohort import write_cohort
from napari_pgan.phantom.subject import CHANNELS, PhantomSubject, make_subject

__all__ = ["CHANNELS", "PhantomSubject", "make_subject", "write_cohort"]
