"""The plugin's writer: layers → NIfTI with a JSON sidecar."""

from __future__ import annotations

from napari_pgan.viewer.layers import LayerTuple
from napari_pgan.viewer.saving import save_layers


def write_layers(path: str, layers: list[LayerTuple]) -> list[str]:
    """Save the generated layers of one result."""
    return [str(file) for file in save_layers(path, layers)]
