"""Write layers that share an exam's space to files on the grids that the patient was scanned on."""

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
from napari_pgan.viewer.exam_layers import PATIENT_TRANSFORMS, labels_of
from napari_pgan.viewer.layers import METADATA_KEY, SAMPLE_AXIS, SEGMENTATION, LayerTuple, digest
from napari_pgan.viewer.save import format_of, split_path

_SEG = "seg"


def patient_transforms_of(layers: Sequence[LayerTuple]) -> dict[str, Any] | None:
    """The patient space in the metadata of the first layer that has one, or None."""
    abouts = (_about(options) for _, options, _ in layers)
    return next((about[PATIENT_TRANSFORMS] for about in abouts if PATIENT_TRANSFORMS in about), None)


def patient_space_files(path: str | Path, layers: Sequence[LayerTuple]) -> list[Path]:
    """The files that `save_in_patient_space` writes.

    Raises
    ------
    InputError
        Two layers have the same file name.
    """
    folder, stem = split_path(path)
    suffix = format_of(path)
    names = [_file_name(options, kind) for _, options, kind in layers]
    if duplicates := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two layers would be written as {stem}_{duplicates[0]}; save them separately")
    suffixes = [".seg.nrrd" if suffix == ".nrrd" and kind == "labels" else suffix for *_, kind in layers]
    return [
        *(folder / f"{stem}_{name}{end}" for name, end in zip(names, suffixes, strict=True)),
        folder / f"{stem}.json",
    ]


def save_in_patient_space(
    path: str | Path,
    layers: Sequence[LayerTuple],
    *,
    onto: str | None = None,
    transforms: Mapping[str, Any] | None = None,
    slice_at: float | None = None,
) -> list[Path]:
    """Resample layers to the scanned grids and write them: labels by nearest neighbour, images linearly.

    Parameters
    ----------
    path
        ``FOLDER/STEM``, with ``.nii.gz`` or ``.nrrd``; with ``.nrrd``, segmentations become ``.seg.nrrd``.
    layers
        Image and Labels layers in the exam's space: the exam's own, edited or not, generated layers on the same grid,
        or layers drawn over them.
    onto
        The part of the exam whose grid all layers get; None: each modality gets its own grid, segmentations that of
        the exam's segmentation, and other layers that of the reference.
    transforms
        From `patient_transforms`; None: taken from the layers' metadata.
    slice_at
        Position of single-slice layers along z, in the viewer's millimetres.

    Returns
    -------
    list of Path
        The written files, with a JSON sidecar last.

    Raises
    ------
    InputError
        No layer has a patient space, a layer is neither a scalar image nor a label map, a layer was rotated, or the
        folder cannot be written to.
    """
    from napari_pgan.imaging.io.segmentation import write_segmentation
    from napari_pgan.imaging.io.volume import write_volume
    from napari_pgan.imaging.preprocessing.exam_grid import resample_to_patient

    transforms = transforms or patient_transforms_of(layers)
    if transforms is None:
        raise InputError("no layer has a patient space; prepare an exam in the Prepare dock first")
    *files, sidecar = patient_space_files(path, layers)
    abouts = [_about(options) for _, options, _ in layers]
    parts = [onto or _default_part(options, kind, transforms) for _, options, kind in layers]
    resampled = []
    for (data, options, kind), about, part in zip(layers, abouts, parts, strict=True):
        array, affine = _volume(np.asarray(data), options, slice_at)
        is_labels = kind == "labels"
        modality = about.get("slot") if kind == "image" else None
        volume = resample_to_patient(array, affine, transforms, part, labels=is_labels, modality=modality)
        resampled.append((volume, _labels(about, array) if is_labels else None))
    for file, (volume, labels) in zip(files, resampled, strict=True):  # only after every layer was accepted
        if labels is None:
            write_volume(file, volume)
        else:
            write_segmentation(file, volume, labels)
    description = {
        "limits": next((about["limits"] for about in abouts if "limits" in about), None),
        "grid_of": dict(zip((file.name for file in files), parts, strict=True)),
        "reference": transforms["reference"],
        "provenance": {f.name: a["samples"] for f, a in zip(files, abouts, strict=True) if "samples" in a},
        "edited_by_hand": [
            file.name
            for file, (data, *_), about in zip(files, layers, abouts, strict=True)
            if "digest" not in about or digest(np.asarray(data)) != about["digest"]
        ],
    }
    write_text(sidecar, json.dumps(description, indent=1, ensure_ascii=False) + "\n")
    return [*files, sidecar]


def _about(options: Mapping[str, Any]) -> dict[str, Any]:
    about = (options.get("metadata") or {}).get(METADATA_KEY)
    return about if isinstance(about, dict) else {}


def _file_name(options: Mapping[str, Any], kind: str) -> str:
    name = str(_about(options).get("slot") or options.get("name", ""))
    if kind == "labels" and name == SEGMENTATION:
        return _SEG
    return re.sub(r"[^\w.+-]+", "-", name).strip("-") or kind


def _default_part(options: Mapping[str, Any], kind: str, transforms: Mapping[str, Any]) -> str:
    """The part whose grid a layer gets by default."""
    own = _SEG if kind == "labels" else _about(options).get("slot")
    return str(own if own in transforms["parts"] else transforms["reference"])


def _labels(about: Mapping[str, Any], array: np.ndarray) -> tuple[Label, ...]:
    declared = Channels.from_dict(about["channels"]).labels if "channels" in about else ()
    undeclared = sorted({int(v) for v in np.unique(array)} - {0, *(label.value for label in declared)})
    if undeclared and not 0 < undeclared[0] <= undeclared[-1] <= 255:
        raise InputError(f"a segmentation contains the value {undeclared[-1]}; label values go from 1 to 255")
    return (*declared, *labels_of(undeclared, ()))


def _volume(data: np.ndarray, options: Mapping[str, Any], slice_at: float | None) -> tuple[np.ndarray, np.ndarray]:
    """A layer's voxels (z, y, x), and the 4×4 from their indices (x, y, z) to the viewer's millimetres."""
    from napari_pgan.imaging.preprocessing.exam_grid import grid_affine

    name, axes = options.get("name", ""), data.ndim
    if options.get("rgb") or axes not in (2, 3) or SAMPLE_AXIS in tuple(options.get("axis_labels") or ()):
        raise InputError(f"the layer {name!r} is not a single scalar volume or slice; show one sample in grey")
    if not _is_axis_aligned(options, axes):
        raise InputError(f"the layer {name!r} was rotated or sheared in the viewer; reset its transform")
    scale = [float(s) for s in options.get("scale", (1.0,) * axes)]
    translate = [float(t) for t in options.get("translate", (0.0,) * axes)]
    if axes == 3:
        return data, grid_affine(scale, translate)
    if slice_at is None:
        raise InputError(
            f"the layer {name!r} is a single slice; save it from the Prepare dock, which knows its position"
        )
    return data[None], grid_affine([1.0, *scale], [slice_at, *translate])


def _is_axis_aligned(options: Mapping[str, Any], axes: int) -> bool:
    affine, rotate, shear = (options.get(key) for key in ("affine", "rotate", "shear"))
    return bool(
        (affine is None or np.allclose(affine, np.eye(axes + 1)))
        and (rotate is None or np.allclose(rotate, np.eye(axes)) or not np.any(rotate))
        and (shear is None or not np.any(shear) or np.allclose(shear, np.eye(axes)))
    )
