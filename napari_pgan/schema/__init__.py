"""Channels, labels and grids shared by cohorts, models and samples; plain data without torch."""

from napari_pgan.schema.channels import Channels, DisplayGroup, Label
from napari_pgan.schema.grid import Grid, base_of

__all__ = ["Channels", "DisplayGroup", "Grid", "Label", "base_of"]
