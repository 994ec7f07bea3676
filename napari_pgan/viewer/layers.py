"""Generated samples as napari layer data tuples; does not import napari.

World coordinates are in millimetres with the centre of the grid at 0, so that all sizes of a sample have the same
field of view. ``layer.metadata["napari_pgan"]`` holds the content and provenance of a layer, for writers and docks.
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
    """Return the layers of generated samples.

    Parameters
    ----------
    batch
        N samples; if N > 1, the first axis is "sample".
    model
        The model of the samples.
    seeds
        Seeds of the samples; None if the latents do not come from seeds.
    stage
        As in `Model.sample`.

    Returns
    -------
    list of (data, keyword arguments, layer type)
        One float32 image per display group: grey in −1 … 1, or RGB in 0 … 1; then, if the model has labels, one Labels
        layer of uint8.
    """
    card = model.card
    about = {
        "intensity": {k: dict(v) for k, v in card.intensity.items()},
        "licence": card.licence,
        "limits": card.limits,
        "samples": batch_provenance(batch, model, seeds, stage),
    }
    labels = batch.labels if card.channels.labels else None
    return stack_layers(batch.images, labels, card.channels, batch.grid, about, prefix="synthetic ")


def batch_provenance(
    batch: Batch, model: Model, seeds: Sequence[int] | None, stage: int | None = None
) -> list[dict[str, Any]]:
    """Return the provenance of each sample; the parameters are those of `batch_layers`."""
    from napari_pgan.samples import provenance

    identity, truncation, conditions = model.identity, batch.truncation, batch.conditions
    numbers: Sequence[int | None] = seeds or [None] * len(batch)
    return [
        provenance(model.card, identity, seed, latent, truncation, conditions, stage, refined)
        for seed, latent, refined in zip(numbers, batch.latents, batch.refined, strict=True)
    ]


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
    """Return the layers of images on the same grid.

    Parameters
    ----------
    images
        (N, M, …), modalities in the order of `channels`. With N = 1 the layers have no sample axis.
    labels
        (N, …) with the label values of `channels`, or None.
    channels, grid
        Meaning of channels and labels, and position of the pixels.
    about
        Added to the metadata of every layer.
    prefix
        Prefix of the layer names.
    windows
        Modality → intensities shown black and white; −1 and 1 if None. They do not depend on the data, so that images
        can be compared.
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
        display["interpolation2d"] = "linear"  # as in viewers of medical images
        described = {**about, "slot": group.name, "channels": part.to_dict(), "windows": [list(w) for w in window]}
        name = prefix + group.name
        layers.append(_tuple(data, name, placement(grid, stacked), display, described, grid, "image"))
    if labels is not None:
        layers.append(labels_layer(labels if stacked else labels[0], channels, grid, about, name=prefix + SEGMENTATION))
    return layers


def labels_layer(
    labels: np.ndarray, channels: Channels, grid: Grid, about: Mapping[str, Any], *, name: str = SEGMENTATION
) -> LayerTuple:
    """Return a Labels layer with the declared colours and names; napari shows the names in the status bar.

    Parameters
    ----------
    labels
        (…) on the grid, or (N, …) for a stack of samples.
    channels, grid
        Meaning of the values, and position of the pixels.
    about
        Added to the metadata.
    name
        Layer name.
    """
    placed = placement(grid, labels.ndim > len(grid.shape))
    display = {"opacity": _OPACITY, "colormap": label_colors(channels.labels), "features": label_names(channels.labels)}
    described = {**about, "slot": SEGMENTATION, "channels": channels.to_dict()}
    return _tuple(np.asarray(labels, np.uint8), name, placed, display, described, grid, "labels")


def placement(grid: Grid, stacked: bool = False) -> dict[str, Any]:
    """Return scale, translate, units and axis labels of a layer on a grid; `stacked` prepends the sample axis."""
    spacing = grid.spacing or (1.0,) * len(grid.shape)
    translate = tuple(-(n - 1) / 2 * step for n, step in zip(grid.shape, spacing, strict=True))
    unit = "pixel" if grid.spacing is None else "mm"
    placed = {"scale": spacing, "translate": translate, "units": (unit,) * len(spacing), "axis_labels": grid.axes}
    if stacked:
        first = {"scale": 1.0, "translate": 0.0, "units": "pixel", "axis_labels": SAMPLE_AXIS}
        placed = {key: (first[key], *value) for key, value in placed.items()}
    return placed


def label_colors(labels: Sequence[Label]) -> dict[int | None, str]:
    """Return value → colour for a Labels layer; background and undeclared values are transparent."""
    return {None: "transparent", 0: "transparent", **{label.value: label.color for label in labels}}


def label_names(labels: Sequence[Label]) -> dict[str, list[Any]]:
    """Return the features table from which napari names the label under the mouse."""
    return {"index": [0, *(x.value for x in labels)], "name": ["background", *(x.name for x in labels)]}


def picture_planes(data: np.ndarray, about: Mapping[str, Any]) -> list[np.ndarray]:
    """Return the modalities of an image layer in their original intensities."""
    windows = about["windows"]
    if len(windows) == 1:
        return [np.asarray(data, np.float32)]
    return [np.asarray(data[..., i], np.float32) * (high - low) + low for i, (low, high) in enumerate(windows)]


def digest(data: np.ndarray) -> str:
    """Return a hash of a layer's data; it changes when the user edits the layer."""
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
