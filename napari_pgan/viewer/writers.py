"""The plugin's writer: layers → NIfTI with a JSON sidecar."""

from __future__ import annotations

from typing import Any

from napari_pgan.viewer.layers import LayerTuple
from napari_pgan.viewer.saving import save_layers


def write_image(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Save one generated image layer."""
    return _save(path, [(data, options, "image")])


def write_labels(path: str, data: Any, options: dict[str, Any]) -> list[str]:
    """Save one generated Labels layer."""
    return _save(path, [(data, options, "labels")])


def write_layers(path: str, layers: list[LayerTuple]) -> list[str]:
    """Save several generated layers of one result."""
    return _save(path, layers)


def _save(path: str, layers: list[LayerTuple]) -> list[str]:
    return [str(file) for file in save_layers(path, layers)]
