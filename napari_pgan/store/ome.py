"""OME-Zarr 0.5 metadata, so that standard readers can open a subject.

Specification: https://ngff.openmicroscopy.org/0.5/ (Moore et al. 2023, doi:10.1007/s00418-023-02209-1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_pgan.schema import Channels, Label

VERSION = "0.5"
IMAGE_AXES = ("c", "z", "y", "x")
LABEL_AXES = ("z", "y", "x")


def image_metadata(channels: Channels, spacing: Sequence[float]) -> dict[str, Any]:
    """Return the ``ome`` attribute of a subject's group; its image is the array ``0``, (c, z, y, x) in [-1, 1].

    Parameters
    ----------
    channels
        Supplies the channel names.
    spacing
        Voxel spacing in mm, (z, y, x).
    """
    window = {"min": -1.0, "max": 1.0, "start": -1.0, "end": 1.0}
    return {
        "version": VERSION,
        "multiscales": [_multiscale("images", IMAGE_AXES, (1.0, *spacing))],
        "omero": {
            "channels": [
                {"label": name, "color": "FFFFFF", "active": i == 0, "window": dict(window)}
                for i, name in enumerate(channels.modalities)
            ],
            "rdefs": {"model": "greyscale"},
        },
    }


def label_metadata(labels: Sequence[Label], spacing: Sequence[float]) -> dict[str, Any]:
    """Return the ``ome`` attribute of the label image; its map is the array ``0``, (z, y, x)."""
    return {
        "version": VERSION,
        "multiscales": [_multiscale("segmentation", LABEL_AXES, tuple(spacing))],
        "image-label": {
            "colors": [{"label-value": x.value, "rgba": [round(255 * c) for c in x.rgb] + [255]} for x in labels],
            "properties": [{"label-value": x.value, "name": x.name} for x in labels],
            "source": {"image": "../../"},
        },
    }


def _multiscale(name: str, axes: Sequence[str], scale: Sequence[float]) -> dict[str, Any]:
    return {
        "name": name,
        "axes": [
            {"name": axis, "type": "channel"} if axis == "c" else {"name": axis, "type": "space", "unit": "millimeter"}
            for axis in axes
        ],
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [float(s) for s in scale]}]}
        ],
    }
