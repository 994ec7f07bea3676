"""What the numbers of a cohort, a model or a sample mean: channels, labels, grid. Plain data, no torch."""

from napari_pgan.schema.channels import Channels, DisplayGroup, Label
from napari_pgan.schema.grid import Grid
from napari_pgan.schema.growth import base_of

__all__ = ["Channels", "DisplayGroup", "Grid", "Label", "base_of"]
