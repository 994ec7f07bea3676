"""Results and layers as NIfTI or NRRD files with their provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, DisplayGroup, Grid, Label
from napari_pgan.viewer.layers import METADATA_KEY, LayerTuple, digest, picture_planes
from napari_pgan.viewer.session import Shown

if TYPE_CHECKING:
    from napari_pgan.viewer.search import Answer

_SUFFIXES = (".nii.gz", ".nii", ".json", ".seg.nrrd", ".nrrd")


def split_path(path: str | Path) -> tuple[Path, str]:
    """The folder and how the file names begin: ``out/a.nii.gz`` → ``out``, ``a``."""
    path = Path(path)
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix) and path.name != suffix:
            return path.parent, path.name.removesuffix(suffix)
    return path.parent, path.name


def format_of(path: str | Path) -> str:
    """How the files' names end: NRRD where the path ends so, else NIfTI."""
    return ".nrrd" if Path(path).name.endswith(".nrrd") else ".nii.gz"


def stems(stem: str, seeds: Sequence[int | None]) -> list[str]:
    """How the names of each sample's files begin: alone as asked for, several by their seed or their number."""
    if len(seeds) == 1:
        return [stem]
    return [f"{stem}_seed{s}" if s is not None else f"{stem}_{i:03d}" for i, s in enumerate(seeds)]


def files_of(shown: Shown, path: str | Path) -> list[Path]:
    """The files that `save_shown` writes."""
    from napari_pgan.samples import sample_files

    folder, stem = split_path(path)
    channels = shown.request.model.card.channels
    seeds: Sequence[int | None] = shown.request.seeds or [None] * len(shown.batch)
    return [
        f
        for s in stems(stem, seeds)
        for f in sample_files(folder, s, channels, bool(channels.labels), suffix=format_of(path))
    ]


def save_shown(shown: Shown, path: str | Path, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Write a result: one NIfTI a modality, one of the segmentation and a JSON sidecar for each sample.

    Parameters
    ----------
    shown
        The result.
    path
        ``FOLDER/STEM``, ``FOLDER/STEM.nii.gz`` or ``FOLDER/STEM.nrrd``; names begin with the stem.
    progress
        Called with (done, all) after each sample.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    from napari_pgan.samples import provenance, write_sample

    folder, stem = split_path(path)
    request, batch, card = shown.request, shown.batch, shown.request.model.card
    seeds: Sequence[int | None] = request.seeds or [None] * len(batch)
    written: list[Path] = []
    for i, name in enumerate(stems(stem, seeds)):
        made = provenance(
            card, request.model.identity, seeds[i], batch.latents[i], batch.truncation, batch.conditions,
            request.settings.stage, batch.refined[i],
        )  # fmt: skip
        labels = batch.labels[i] if card.channels.labels else None
        written += write_sample(
            folder, name, batch.images[i], labels, batch.grid, card.channels, {**made, **shown.origin}, card.intensity,
            card.limits, format_of(path),
        )  # fmt: skip
        if progress:
            progress(i + 1, len(batch))
    return written


def save_layers(path: str | Path, layers: Sequence[LayerTuple]) -> list[Path]:
    """Write layers that this plugin made, as they are now; what a person has edited is said in the sidecar.

    Parameters
    ----------
    path
        As for `save_shown`.
    layers
        Image and Labels layers of one result, as (data, keyword arguments, type).

    Raises
    ------
    InputError
        A layer is not of this plugin or has lost its grid, the layers are of different results, or the folder cannot
        be written to.
    """
    from napari_pgan.samples import write_sample

    folder, stem = split_path(path)
    abouts = [_about(data, options, kind) for data, options, kind in layers]
    first = abouts[0]
    for (_, options, _), about in zip(layers, abouts, strict=True):
        if about["grid"] != first["grid"] or about["samples"] != first["samples"]:
            raise InputError(f"the layer {options.get('name')!r} is of another result than the first; save them apart")
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
                raise InputError(f"the layer {options.get('name')!r} is a second segmentation; save them apart")
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
        made = {**samples[i], "edited_by_hand": edited}
        written += write_sample(
            folder,
            name,
            np.stack([plane[i] for plane in planes]) if planes else None,
            None if segmentation is None else segmentation[i].astype(np.uint8),
            grid,
            Channels(tuple(modalities) or Channels.from_dict(first["channels"]).modalities, labels, tuple(groups)),
            made,
            intensity,
            first["limits"],
            format_of(path),
        )
    return written


def save_answer(answer: Answer, path: str | Path) -> list[Path]:
    """Write what was asked for and every candidate into a folder, see `samples.write_candidates`.

    Raises
    ------
    InputError
        There is something else of that name.
    """
    from napari_pgan.samples import claim_folder, write_candidates

    folder, stem = split_path(path)
    out = folder / stem
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} is there already; give the folder another name")
    search = answer.ask.search
    claim_folder(search, out)
    return write_candidates(search, answer.found, out)


def _about(data: Any, options: Mapping[str, Any], kind: str) -> dict[str, Any]:
    name = options.get("name", "")
    about = (options.get("metadata") or {}).get(METADATA_KEY)
    if not isinstance(about, dict) or kind not in ("image", "labels"):
        raise InputError(f"the layer {name!r} was not made by this plugin; save it with another writer")
    grid = Grid.from_dict(about["grid"])
    shape = np.shape(data)[:-1] if len(about.get("windows", ())) == 3 else np.shape(data)
    expected = grid.shape if len(about["samples"]) == 1 else (len(about["samples"]), *grid.shape)
    if shape != expected:
        raise InputError(f"the layer {name!r} is {shape} now and was made as {expected}; save it with another writer")
    return about
