"""Layers beside a prepared exam as files on the grids that the patient was scanned on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, Label
from napari_pgan.viewer.exam_layers import WAY, named
from napari_pgan.viewer.layers import METADATA_KEY, SAMPLE_AXIS, SEGMENTATION, LayerTuple, digest
from napari_pgan.viewer.save import format_of, split_path

_SEG = "seg"


def way_of(layers: Sequence[LayerTuple]) -> dict[str, Any] | None:
    """The way back to the patient that one of the layers keeps, or None."""
    return next((_about(options)[WAY] for _, options, _ in layers if WAY in _about(options)), None)


def patient_files(path: str | Path, layers: Sequence[LayerTuple]) -> list[Path]:
    """The files that `save_for_patient` writes.

    Raises
    ------
    InputError
        Two layers would have the same file.
    """
    folder, stem = split_path(path)
    names = [_file_name(options, kind) for _, options, kind in layers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two layers would be written as {stem}_{twice[0]}; save them apart")
    ends = [".seg.nrrd" if format_of(path) == ".nrrd" and kind == "labels" else format_of(path) for *_, kind in layers]
    return [*(folder / f"{stem}_{name}{end}" for name, end in zip(names, ends, strict=True)), folder / f"{stem}.json"]


def save_for_patient(
    path: str | Path,
    layers: Sequence[LayerTuple],
    *,
    onto: str | None = None,
    way: Mapping[str, Any] | None = None,
    slice_at: float | None = None,
) -> list[Path]:
    """Write layers on the grid that a part of an exam was scanned on: labels by nearest neighbour, images linearly.

    Parameters
    ----------
    path
        ``FOLDER/STEM``, with ``.nii.gz`` or ``.nrrd``; as the latter, segmentations are ``.seg.nrrd``.
    layers
        Image and Labels layers that lie where the exam's layers lie: those of the exam, edited or not, generated ones
        on the same grid, or any that were drawn over them.
    onto
        The part of the exam whose grid all shall have; None: each its own modality's, segmentations that of the
        exam's segmentation, others the reference's.
    way
        The way back; None: the one that a layer keeps.
    slice_at
        Where layers of a single slice lie along z, in millimetres of the viewer.

    Returns
    -------
    list of Path
        What was written, a JSON sidecar last.

    Raises
    ------
    InputError
        No layer knows the way, a layer is no grey volume or label map, it was turned, or the folder cannot be written
        to.
    """
    from napari_pgan.imaging.io.segmentation import write_segmentation
    from napari_pgan.imaging.io.volume import write_volume
    from napari_pgan.imaging.preprocessing.exam_grid import resample_to_patient

    way = way or way_of(layers)
    if way is None:
        raise InputError("no layer knows the way back to a patient; send an exam on with the dock Prepare first")
    *files, sidecar = patient_files(path, layers)
    parts = [onto or _home(options, kind, way) for _, options, kind in layers]
    made = []
    for (data, options, kind), part in zip(layers, parts, strict=True):
        array, where = _placed(np.asarray(data), options, slice_at)
        about = _about(options)
        modality = about.get("slot") if kind == "image" else None
        volume = resample_to_patient(array, where, way, part, labels=kind == "labels", modality=modality)
        made.append((volume, _labels(about, array) if kind == "labels" else ()))
    for file, (volume, labels), (*_, kind) in zip(files, made, layers, strict=True):
        if kind == "labels":
            write_segmentation(file, volume, labels)
        else:
            write_volume(file, volume)
    abouts = [_about(options) for _, options, _ in layers]
    described = {
        "limits": next((about["limits"] for about in abouts if "limits" in about), None),
        "grid_of": dict(zip((file.name for file in files), parts, strict=True)),
        "reference": way["reference"],
        "provenance": {f.name: a["samples"] for f, a in zip(files, abouts, strict=True) if "samples" in a},
        "edited_by_hand": [
            file.name
            for file, (data, *_), about in zip(files, layers, abouts, strict=True)
            if "digest" not in about or digest(np.asarray(data)) != about["digest"]
        ],
    }
    write_text(sidecar, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
    return [*files, sidecar]


def _about(options: Mapping[str, Any]) -> dict[str, Any]:
    about = (options.get("metadata") or {}).get(METADATA_KEY)
    return about if isinstance(about, dict) else {}


def _file_name(options: Mapping[str, Any], kind: str) -> str:
    name = str(_about(options).get("slot") or options.get("name", ""))
    if kind == "labels" and name == SEGMENTATION:
        return _SEG
    return re.sub(r"[^\w.+-]+", "-", name).strip("-") or kind


def _home(options: Mapping[str, Any], kind: str, way: Mapping[str, Any]) -> str:
    """The part whose grid a layer gets unless somebody says otherwise."""
    own = _SEG if kind == "labels" else _about(options).get("slot")
    return str(own) if own in way["parts"] else str(way["reference"])


def _labels(about: Mapping[str, Any], array: np.ndarray) -> tuple[Label, ...]:
    declared = Channels.from_dict(about["channels"]).labels if "channels" in about else ()
    present = [int(v) for v in np.unique(array) if v and int(v) not in {label.value for label in declared}]
    if present and not 0 < present[0] <= present[-1] <= 255:
        raise InputError(f"a segmentation holds the value {present[-1]}; label values go from 1 to 255")
    return (*declared, *named(present, ()))


def _placed(data: np.ndarray, options: Mapping[str, Any], slice_at: float | None) -> tuple[np.ndarray, np.ndarray]:
    """A layer's voxels (z, y, x), and the 4×4 from their indices (x, y, z) to millimetres of the viewer."""
    from napari_pgan.imaging.preprocessing.exam_grid import grid_affine

    name, axes = options.get("name", ""), data.ndim
    if options.get("rgb") or axes not in (2, 3) or SAMPLE_AXIS in tuple(options.get("axis_labels") or ()):
        raise InputError(f"the layer {name!r} is no single volume or slice of grey values; show one sample in grey")
    turned = options.get("affine")
    if (turned is not None and not np.allclose(turned, np.eye(axes + 1))) or not _straight(options, axes):
        raise InputError(f"the layer {name!r} was turned or sheared in the viewer; put it back as it was made")
    scale = [float(s) for s in options.get("scale", (1.0,) * axes)]
    translate = [float(t) for t in options.get("translate", (0.0,) * axes)]
    if axes == 3:
        return data, grid_affine(scale, translate)
    if slice_at is None:
        raise InputError(f"the layer {name!r} is one slice; save it with the dock Prepare, which knows where it lies")
    return data[None], grid_affine([1.0, *scale], [slice_at, *translate])


def _straight(options: Mapping[str, Any], axes: int) -> bool:
    rotate, shear = options.get("rotate"), options.get("shear")
    straight = rotate is None or np.allclose(rotate, np.eye(axes)) or not np.any(rotate)
    return bool(straight and (shear is None or not np.any(shear) or np.allclose(shear, np.eye(axes))))
