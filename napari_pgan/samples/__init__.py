"""Write and read generated samples: PNG sheets, NIfTI with sidecars, NumPy archives."""

from napari_pgan.samples.nifti import sample_files, write_sample
from napari_pgan.samples.npz import Latents, read_latents, write_npz
from napari_pgan.samples.provenance import provenance
from napari_pgan.samples.sample_set import SampleSet, write_samples
from napari_pgan.samples.sheet import grid_sheet, sheet, thumbnail, write_sheet
from napari_pgan.samples.steered import SteeringSearch, claim_folder, finished_report, write_candidates

__all__ = [
    "Latents",
    "SampleSet",
    "SteeringSearch",
    "claim_folder",
    "finished_report",
    "grid_sheet",
    "provenance",
    "read_latents",
    "sample_files",
    "sheet",
    "thumbnail",
    "write_candidates",
    "write_npz",
    "write_sample",
    "write_samples",
    "write_sheet",
]
