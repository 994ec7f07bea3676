"""NIfTI or NRRD files of samples, with a JSON sidecar."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from napari_pgan.atomic import replacing, write_text
from napari_pgan.errors import InputError
from napari_pgan.model.card import LIMITS
from napari_pgan.schema import Channels, Grid

FORMATS = (".nii.gz", ".nrrd")
_ALIGNED = 2  # NIfTI transform code for aligned coordinates, not those of a scanner


def sample_files(
    folder: str | Path,
    stem: str,
    channels: Channels,
    labels: bool = True,
    images: bool = True,
    suffix: str = FORMATS[0],
) -> list[Path]:
    """Return the files that `write_sample` writes: one per modality, the segmentation, and finally the sidecar."""
    names = [re.sub(r"[^\w.+-]+", "-", modality) for modality in channels.modalities] if images else []
    if labels:
        names.append("seg")
    if len({name.lower() for name in names}) < len(names):
        raise InputError(f"the modalities {', '.join(channels.modalities)} give identical file names; rename one")
    if suffix == ".nrrd" and labels:
        names[-1] += ".seg"
    files = [Path(folder) / f"{stem}_{name}{suffix}" for name in names]
    return [*files, Path(folder) / f"{stem}.json"]


def write_sample(
    folder: str | Path,
    stem: str,
    images: np.ndarray | None,
    labels: np.ndarray | None,
    grid: Grid,
    channels: Channels,
    provenance: Mapping[str, Any],
    intensity: Mapping[str, Mapping[str, str]] | None = None,
    limits: str = LIMITS,
    suffix: str = FORMATS[0],
) -> list[Path]:
    """Write one sample: ``STEM_<modality>.nii.gz``, ``STEM_seg.nii.gz`` and ``STEM.json``.

    With the suffix ``.nrrd`` the segmentation is ``STEM_seg.seg.nrrd``, which 3D Slicer opens with label names and
    colours.

    Each file is written atomically, the sidecar last, and equal samples give equal bytes. A slice becomes a volume of
    one slice, whose thickness is the grid's slice spacing.

    Parameters
    ----------
    folder, stem
        Output folder, created if missing, and the prefix of the file names.
    images
        (M, y, x) or (M, z, y, x) in [-1, 1], modalities in the order of `channels`, stored as float32; None writes the
        segmentation alone.
    labels
        (y, x) or (z, y, x) in the original label values, stored as uint8; None to write no segmentation.
    grid
        Position of the pixels.
    channels
        Modalities and labels.
    provenance
        Origin of the sample (`napari_pgan.samples.provenance`).
    intensity
        Modality → meaning of −1 and +1, as in the model's card.
    limits
        Statement on the intended use of the sample.
    suffix
        One of `FORMATS`.

    Returns
    -------
    list of Path
        The written files, the sidecar last.
    """
    modalities = channels.modalities if images is not None else ()
    if images is not None and images.shape != (len(modalities), *grid.shape):
        raise ValueError(f"images {images.shape} do not fit {len(modalities)} modalities on {grid.shape}")
    if labels is not None and labels.shape != grid.shape:
        raise ValueError(f"labels {labels.shape} do not fit {grid.shape}")
    *files, sidecar = sample_files(folder, stem, channels, labels is not None, images is not None, suffix)
    volumes = [] if images is None else [np.asarray(image, np.float32) for image in images]
    if labels is not None:
        volumes.append(np.asarray(labels, np.uint8))
    for path, volume in zip(files, volumes, strict=True):
        if suffix == ".nrrd":
            _write_nrrd(path, volume, grid, channels)
        else:
            _write_nifti(path, volume, grid, limits)
    described = {
        "limits": limits,
        "files": {m: path.name for m, path in zip(modalities, files, strict=False)},
        "segmentation": files[-1].name if labels is not None else None,
        "channels": channels.to_dict(),
        "grid": grid.to_dict(),
        "intensity": {m: dict(ends) for m, ends in (intensity or {}).items()},
        "provenance": dict(provenance),
    }
    write_text(sidecar, json.dumps(described, indent=1, ensure_ascii=False) + "\n")
    return [*files, sidecar]


def _write_nrrd(path: Path, volume: np.ndarray, grid: Grid, channels: Channels) -> None:
    from napari_pgan.imaging.io.segmentation import write_segmentation
    from napari_pgan.imaging.io.volume import Volume, write_volume

    placed = Volume(volume[None] if volume.ndim == 2 else volume, grid.affine())
    if path.name.endswith(".seg.nrrd"):
        write_segmentation(path, placed, channels.labels)
    else:
        write_volume(path, placed)


def _write_nifti(path: Path, volume: np.ndarray, grid: Grid, limits: str) -> None:
    if volume.ndim == 2:
        volume = volume[None]
    image = nib.Nifti1Image(volume.transpose(2, 1, 0), grid.affine())  # NIfTI is ordered x, y, z
    image.set_qform(grid.affine(), _ALIGNED)
    image.set_sform(grid.affine(), _ALIGNED)
    image.header.set_xyzt_units("mm" if grid.spacing is not None else "unknown")
    image.header["descrip"] = limits.encode("ascii", "replace")[:79]
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(image.to_bytes(), 6, mtime=0))
