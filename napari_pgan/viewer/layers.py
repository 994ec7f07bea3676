"""Generated samples as napari layer data: plain tuples, made without napari.

A layer lies in millimetres with the middle of its grid at 0, so that smaller sizes of a sample cover the larger ones.
What a layer is and where it comes from stands in ``layer.metadata["napari_pgan"]``; the writer and the docks read it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.schema import Channels, Grid, Label

if TYPE_CHECKING:
    from napari_pgan.model import Batch, Model

LayerTuple = tuple[np.ndarray, dict[str, Any], str]

METADATA_KEY = "napari_pgan"
SEGMENTATION = "segmentation"
SAMPLE_AXIS = "sample"
_OPACITY = 0.7


def batch_layers(batch: Batch, model: Model, seeds: Sequence[int] | None, stage: int | None = None) -> list[LayerTuple]:
    """The layers of generated samples.

    Parameters
    ----------
    batch
        N samples; more than one get a first axis "sample".
    model
        What made them.
    seeds
        The samples' seeds, or None where the latents have none.
    stage
        As it was given to `Model.sample`.

    Returns
    -------
    list of (data, keyword arguments, layer type)
        One image a display group, in float32: grey between −1 and 1, or RGB between 0 and 1; then, where the model
        makes labels, one Labels layer of uint8.
    """
    from napari_pgan.samples import provenance

    card, refined = model.card, batch.refined
    samples = [
        provenance(
            card, model.identity, None if seeds is None else seeds[i], batch.latents[i], batch.truncation,
            batch.conditions, stage, refined[i],
        )
        for i in range(len(batch))
    ]  # fmt: skip
    about = {
        "intensity": {k: dict(v) for k, v in card.intensity.items()},
        "licence": card.licence,
        "limits": card.limits,
        "samples": samples,
    }
    labels = batch.labels if card.channels.labels else None
    return stack_layers(batch.images, labels, card.channels, batch.grid, about, prefix="synthetic ")


def stack_layers(
    images: np.ndarray,
    labels: np.ndarray | None,
    channels: Channels,
    grid: Grid,
    about: Mapping[str, Any],
    *,
    prefix: str = "",
    windows: Mapping[str, tuple[float, float]] | None = None,
) -> list[LayerTuple]:
    """The layers of images that share a grid.

    Parameters
    ----------
    images
        (N, M, …), modalities in the order of `channels`. With N = 1 the layers have the dimensions of the grid.
    labels
        (N, …) in the values that `channels` declares, or None.
    channels, grid
        What the channels and labels are, and where the pixels lie.
    about
        Goes into the metadata of every layer.
    prefix
        Stands before every layer's name.
    windows
        Modality → the intensities that are shown black and white; −1 and 1 if None. They do not follow the data, so
        that one picture can be compared with the next.
    """
    stacked = len(images) > 1
    layers = []
    for group in channels.groups:
        planes = [images[:, channels.modalities.index(m)] for m in group.modalities]
        window = [(windows or {}).get(m, (-1.0, 1.0)) for m in group.modalities]
        data = _as_picture(planes, window) if group.is_rgb else np.asarray(planes[0], np.float32)
        data = data if stacked else data[0]
        part = Channels(group.modalities, (), (group,))
        display: dict[str, Any] = {"rgb": True} if group.is_rgb else {"contrast_limits": window[0], "colormap": "gray"}
        display["interpolation2d"] = "linear"  # as viewers of medical images do
        described = {**about, "slot": group.name, "channels": part.to_dict(), "windows": [list(w) for w in window]}
        name = prefix + group.name
        layers.append(_tuple(data, name, placement(grid, stacked), display, described, grid, "image"))
    if labels is not None:
        layers.append(labels_layer(labels if stacked else labels[0], channels, grid, about, name=prefix + SEGMENTATION))
    return layers


def labels_layer(
    labels: np.ndarray, channels: Channels, grid: Grid, about: Mapping[str, Any], *, name: str = SEGMENTATION
) -> LayerTuple:
    """A Labels layer in the declared colours, whose names napari shows in the status bar.

    Parameters
    ----------
    labels
        (…) on the grid, or (N, …) for a stack of samples.
    channels, grid
        What the values mean and where the pixels lie.
    about
        Goes into the metadata.
    name
        The layer's name.
    """
    placed = placement(grid, labels.ndim > len(grid.shape))
    display = {"opacity": _OPACITY, "colormap": label_colors(channels.labels), "features": label_names(channels.labels)}
    described = {**about, "slot": SEGMENTATION, "channels": channels.to_dict()}
    return _tuple(np.asarray(labels, np.uint8), name, placed, display, described, grid, "labels")


def placement(grid: Grid, stacked: bool = False) -> dict[str, Any]:
    """Scale, translate, units and axis labels of a layer on a grid; `stacked` puts the axis "sample" first."""
    spacing = grid.spacing or (1.0,) * len(grid.shape)
    translate = tuple(-(n - 1) / 2 * step for n, step in zip(grid.shape, spacing, strict=True))
    unit = "pixel" if grid.spacing is None else "mm"
    placed = {"scale": spacing, "translate": translate, "units": (unit,) * len(spacing), "axis_labels": grid.axes}
    if stacked:
        first = {"scale": 1.0, "translate": 0.0, "units": "pixel", "axis_labels": SAMPLE_AXIS}
        placed = {key: (first[key], *value) for key, value in placed.items()}
    return placed


def label_colors(labels: Sequence[Label]) -> dict[int | None, str]:
    """Value → colour, as napari's Labels take it; what nobody declared, and background, is transparent."""
    return {None: "transparent", 0: "transparent", **{label.value: label.color for label in labels}}


def label_names(labels: Sequence[Label]) -> dict[str, list[Any]]:
    """The features table that names the label under the mouse."""
    return {"index": [0, *(x.value for x in labels)], "name": ["background", *(x.name for x in labels)]}


def picture_planes(data: np.ndarray, about: Mapping[str, Any]) -> list[np.ndarray]:
    """The modalities in an image layer's data, in their own intensities."""
    windows = about["windows"]
    if len(windows) == 1:
        return [np.asarray(data, np.float32)]
    return [np.asarray(data[..., i], np.float32) * (high - low) + low for i, (low, high) in enumerate(windows)]


def digest(data: np.ndarray) -> str:
    """A hash of a layer's data, which tells whether a person has edited it."""
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()


def _as_picture(planes: list[np.ndarray], windows: list[tuple[float, float]]) -> np.ndarray:
    shown = [(plane - low) / (high - low) for plane, (low, high) in zip(planes, windows, strict=True)]
    return np.clip(np.stack(shown, axis=-1), 0, 1).astype(np.float32)


def _tuple(
    data: np.ndarray,
    name: str,
    placed: dict[str, Any],
    display: dict[str, Any],
    described: dict[str, Any],
    grid: Grid,
    kind: str,
) -> LayerTuple:
    metadata = {METADATA_KEY: {**described, "grid": grid.to_dict(), "digest": digest(data)}}
    return data, {"name": name, **placed, **display, "metadata": metadata}, kind
