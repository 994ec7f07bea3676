"""Samples as one NumPy archive, the same bytes for the same samples."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.model import Batch
from napari_pgan.spec import Channels

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the first that zip knows


def write_npz(
    path: str | Path, batch: Batch, channels: Channels, note: str = "", more: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write ``images``, ``labels``, ``latents`` and ``modalities``, whole or not at all.

    The archive carries no time, no machine and no compression (whose bytes depend on zlib's version), so that equal
    samples give equal files; ``numpy.load`` reads it.

    Parameters
    ----------
    path
        Should end in ``.npz``.
    batch
        Images (N, M, …) float32 in [-1, 1], labels (N, …) uint8 in the original values, latents (N, L) float32.
    channels
        Whose modalities are named, in the order of the images' channels.
    note
        Kept as the archive's comment, which readers of arrays do not see (`read_note`).
    more
        Further arrays, by name.
    """
    arrays: dict[str, np.ndarray] = {
        "images": np.ascontiguousarray(batch.images, np.float32),
        "labels": np.ascontiguousarray(batch.labels, np.uint8),
        "latents": np.ascontiguousarray(batch.latents, np.float32),
        "modalities": np.array(channels.modalities, dtype=np.str_),
        **(more or {}),
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = note.encode()
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
            entry.create_system = 3  # the same from Windows as from elsewhere
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def read_note(path: str | Path) -> str | None:
    """The note of an archive; None where the file is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode("utf-8", "replace")
    except (OSError, zipfile.BadZipFile):
        return None


def read_latents(path: str | Path, size: int) -> np.ndarray:
    """The latents (N, L) float32 of an archive that `sample`, `steer` or `encode` wrote.

    Parameters
    ----------
    path
        The archive.
    size
        Numbers in a latent of the model that takes them.

    Raises
    ------
    InputError
        It cannot be read, holds no latents, or those of another model.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            latents, refined = np.asarray(archive["latents"]), "offset_0" in archive.files
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; give an .npz that `encode` or `sample` wrote") from None
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path}: holds no latents; give an .npz that `encode` or `sample` wrote") from None
    if refined:
        raise InputError(f"{path}: its images were refined, and latents alone make others; they are in it as `images`")
    if latents.ndim != 2 or not len(latents) or latents.dtype.kind != "f" or not np.isfinite(latents).all():
        raise InputError(f"{path}: its latents are no table of finite numbers; write it again")
    if latents.shape[1] != size:
        raise InputError(f"{path}: holds latents of {latents.shape[1]} numbers, and this model takes {size}")
    return latents.astype(np.float32)
