"""Generated samples as files: picture sheets, NIfTI with sidecars, NumPy archives."""

from napari_pgan.samples.nifti import sample_files, write_sample
from napari_pgan.samples.npz import read_latents, write_npz
from napari_pgan.samples.order import Order, write_order
from napari_pgan.samples.provenance import provenance
from napari_pgan.samples.sheet import grid_sheet, sheet, write_sheet

__all__ = [
    "Order",
    "grid_sheet",
    "provenance",
    "read_latents",
    "sample_files",
    "sheet",
    "write_npz",
    "write_order",
    "write_sample",
    "write_sheet",
]
