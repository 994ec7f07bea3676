"""Saves results and layers as NIfTI or NRRD files with their provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, DisplayGroup, Grid, Label
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, batch_provenance, digest, picture_planes
from napari_pgan.viewer.session import SampleResult

if TYPE_CHECKING:
    from napari_pgan.viewer.steering_search import SearchResult

_SUFFIXES = (".nii.gz", ".nii", ".json", ".seg.nrrd", ".nrrd")


def split_path(path: str | Path) -> tuple[Path, str]:
    """Split a path into folder and stem: ``out/a.nii.gz`` → ``out``, ``a``."""
    path = Path(path)
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix) and path.name != suffix:
            return path.parent, path.name.removesuffix(suffix)
    return path.parent, path.name


def format_of(path: str | Path) -> str:
    """Return the suffix of image files: that of NRRD if the path has it, else that of NIfTI."""
    return ".nrrd" if Path(path).name.endswith(".nrrd") else ".nii.gz"


def stems(stem: str, seeds: Sequence[int | None]) -> list[str]:
    """Return a file stem for each sample; several samples get their seed or index as a suffix."""
    if len(seeds) == 1:
        return [stem]
    return [f"{stem}_seed{s}" if s is not None else f"{stem}_{i:03d}" for i, s in enumerate(seeds)]


def files_of(result: SampleResult, path: str | Path) -> list[Path]:
    """Return the files that `save_sample` writes."""
    from napari_pgan.samples import sample_files

    folder, stem = split_path(path)
    channels = result.request.model.card.channels
    return [
        file
        for name in stems(stem, result.request.seeds or [None] * len(result.batch))
        for file in sample_files(folder, name, channels, bool(channels.labels), suffix=format_of(path))
    ]


def save_sample(result: SampleResult, path: str | Path) -> list[Path]:
    """Write one image per modality, the segmentation and a JSON sidecar of each sample; return the files.

    Parameters
    ----------
    result
        The samples.
    path
        ``FOLDER/STEM``, ``FOLDER/STEM.nii.gz`` or ``FOLDER/STEM.nrrd``; file names start with the stem.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    from napari_pgan.samples import write_sample

    folder, stem = split_path(path)
    request, batch, card = result.request, result.batch, result.request.model.card
    names = stems(stem, request.seeds or [None] * len(batch))
    origins = batch_provenance(batch, request.model, request.seeds, request.settings.stage)
    written: list[Path] = []
    for i, (name, origin) in enumerate(zip(names, origins, strict=True)):
        labels = batch.labels[i] if card.channels.labels else None
        written += write_sample(
            folder, name, batch.images[i], labels, batch.grid, card.channels, {**origin, **result.origin},
            card.intensity, card.limits, format_of(path),
        )  # fmt: skip
    return written


def save_layers(path: str | Path, layers: Sequence[LayerTuple]) -> list[Path]:
    """Write layers of this plugin with their present data; the sidecar names the layers that the user has edited.

    Parameters
    ----------
    path
        As in `save_sample`.
    layers
        Image and Labels layers of one result, as (data, keyword arguments, type).

    Raises
    ------
    InputError
        A layer is not from this plugin or has another shape, the layers are from different results, or the folder
        cannot be written to.
    """
    from napari_pgan.samples import write_sample

    folder, stem = split_path(path)
    abouts = [_about(data, options, kind) for data, options, kind in layers]
    first = abouts[0]
    for (_, options, _), about in zip(layers, abouts, strict=True):
        if about["grid"] != first["grid"] or about["samples"] != first["samples"]:
            name = options.get("name")
            raise InputError(
                f"the layer {name!r} is from a different result than the first layer; save each separately"
            )
    grid, samples = Grid.from_dict(first["grid"]), first["samples"]
    planes: list[np.ndarray] = []
    modalities: list[str] = []
    groups: list[DisplayGroup] = []
    segmentation: np.ndarray | None = None
    labels: tuple[Label, ...] = ()
    for (data, options, kind), about in zip(layers, abouts, strict=True):
        stack = np.asarray(data) if len(samples) > 1 else np.asarray(data)[None]
        if kind == "labels":
            if segmentation is not None:
                raise InputError(f"the layer {options.get('name')!r} is a second segmentation; save them separately")
            segmentation, labels = stack, Channels.from_dict(about["channels"]).labels
            continue
        for name, plane in zip(about["channels"]["modalities"], picture_planes(stack, about), strict=True):
            if name not in modalities:
                modalities.append(name)
                planes.append(plane)
        groups.append(DisplayGroup(about["slot"], tuple(about["channels"]["modalities"])))
    edited = [
        options.get("name", "")
        for (data, options, _), about in zip(layers, abouts, strict=True)
        if digest(np.asarray(data)) != about["digest"]
    ]
    intensity = {m: ends for m, ends in first.get("intensity", {}).items() if m in modalities}
    written: list[Path] = []
    for i, name in enumerate(stems(stem, [sample.get("seed") for sample in samples])):
        written += write_sample(
            folder,
            name,
            np.stack([plane[i] for plane in planes]) if planes else None,
            None if segmentation is None else segmentation[i].astype(np.uint8),
            grid,
            Channels(tuple(modalities) or Channels.from_dict(first["channels"]).modalities, labels, tuple(groups)),
            {**samples[i], "edited_by_hand": edited},
            intensity,
            first["limits"],
            format_of(path),
        )
    return written


def save_candidates(result: SearchResult, path: str | Path) -> list[Path]:
    """Write the target and every candidate into a new folder, see `samples.write_candidates`.

    Raises
    ------
    InputError
        The path exists and is not an empty folder.
    """
    from napari_pgan.samples import claim_folder, write_candidates

    folder, stem = split_path(path)
    out = folder / stem
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} already exists; choose another name for the folder")
    search = result.request.steering_search
    claim_folder(search, out)
    return write_candidates(search, result.candidates, out)


def _about(data: Any, options: Mapping[str, Any], kind: str) -> dict[str, Any]:
    name = options.get("name", "")
    about = (options.get("metadata") or {}).get(METADATA_KEY)
    if not isinstance(about, dict) or kind not in ("image", "labels"):
        raise InputError(f"the layer {name!r} is not from this plugin; save it with another writer")
    grid = Grid.from_dict(about["grid"])
    shape = np.shape(data)[:-1] if len(about.get("windows", ())) == 3 else np.shape(data)
    expected = grid.shape if len(about["samples"]) == 1 else (len(about["samples"]), *grid.shape)
    if shape != expected:
        raise InputError(f"the layer {name!r} has the shape {shape} instead of {expected}; save it with another writer")
    return about
