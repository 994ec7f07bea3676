"""The plugin's writers: layers → NIfTI or NRRD with a JSON sidecar."""

from __future__ import annotations

from napari_pgan.viewer.layers import LayerTuple
from napari_pgan.viewer.patient_space import save_in_patient_space
from napari_pgan.viewer.save import save_layers


def write_layers(path: str, layers: list[LayerTuple]) -> list[str]:
    """Save the generated layers of one result."""
    return [str(file) for file in save_layers(path, layers)]


def write_for_patient(path: str, layers: list[LayerTuple]) -> list[str]:
    """Save layers that lie beside a prepared exam on the grids that the exam was scanned on."""
    return [str(file) for file in save_in_patient_space(path, layers)]
