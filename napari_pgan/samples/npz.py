"""NumPy archives of samples; equal samples give equal bytes."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_pgan.atomic import replacing
from napari_pgan.errors import InputError
from napari_pgan.model import Batch, Model

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time in zip files
_IDENTITY, _CONDITIONS, _TRUNCATION, _OFFSET = "model_identity", "conditions", "truncation", "offset_"
_UNREADABLE = (
    OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error,
    RuntimeError,  # encrypted, or unknown compression
)  # fmt: skip


def write_npz(
    path: str | Path,
    batch: Batch,
    model: Model,
    note: str = "",
    more: Mapping[str, np.ndarray] | None = None,
    truncation: np.ndarray | None = None,
) -> None:
    """Write ``images``, ``labels``, ``latents`` and ``modalities`` atomically.

    The archive also contains what `read_latents` needs to generate the images again: ``model_identity``; ``conditions``
    as JSON, if any; ``truncation``, (N,), if not 1; and ``offset_0``, … of refined images.

    It contains no time stamp or machine name and is not compressed, since compressed bytes depend on the zlib version:
    equal samples give equal files.

    Parameters
    ----------
    path
        Should end in ``.npz``.
    batch
        Images (N, M, …) float32 in [-1, 1], labels (N, …) uint8 in the original values, latents (N, L) float32.
    model
        The model that generated them.
    note
        Stored as the archive's comment (see `read_note`).
    more
        Additional arrays by name.
    truncation
        (N,), if it differs between images; by default that of the batch.
    """
    cut = np.full(len(batch), batch.truncation) if truncation is None else np.asarray(truncation, np.float64)
    arrays: dict[str, np.ndarray] = {
        "images": np.ascontiguousarray(batch.images, np.float32),
        "labels": np.ascontiguousarray(batch.labels, np.uint8),
        "latents": np.ascontiguousarray(batch.latents, np.float32),
        "modalities": np.array(model.card.channels.modalities, dtype=np.str_),
        _IDENTITY: np.array(model.identity),
        **({_CONDITIONS: np.array(json.dumps(dict(batch.conditions), sort_keys=True))} if batch.conditions else {}),
        **({_TRUNCATION: cut} if (cut != 1).any() else {}),
        **{f"{_OFFSET}{stage}": np.asarray(part, np.float32) for stage, part in enumerate(batch.offsets)},
        **(more or {}),
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = note.encode()
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
            entry.create_system = 3  # equal bytes on every platform
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def read_note(path: str | Path) -> str | None:
    """Return the note of an archive; None if the file is not a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment.decode("utf-8", "replace")
    except (OSError, zipfile.BadZipFile):
        return None


@dataclass(frozen=True)
class Latents:
    """Latents from a file, with the parameters needed to generate their images again.

    Parameters
    ----------
    latents
        (N, L) float32.
    offsets
        (N, W, …) float32 for each refined stage, as in `Model.sample`; empty without refinement.
    conditions
        Conditions of the images.
    truncation
        (N,) float64, truncation of the images; None for 1.
    """

    latents: np.ndarray
    offsets: tuple[np.ndarray, ...] = ()
    conditions: Mapping[str, str | float] = field(default_factory=dict)
    truncation: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.latents)

    def first(self, count: int) -> Latents:
        """Return the first `count` latents with their parameters."""
        cut = None if self.truncation is None else self.truncation[:count]
        return Latents(self.latents[:count], tuple(offset[:count] for offset in self.offsets), self.conditions, cut)


def read_latents(path: str | Path, model: Model) -> Latents:
    """Read latents from an archive that `sample`, `steer` or `encode` wrote.

    An archive without a model identity (written by other software) is accepted if its latents have the right size.

    Parameters
    ----------
    path
        The archive.
    model
        The model that takes the latents.

    Raises
    ------
    InputError
        The archive cannot be read, contains no latents, or contains latents of another model.
    """
    wrote = "that `encode`, `steer` or `sample` wrote"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            latents = np.asarray(archive["latents"])
            stages = sum(name.startswith(_OFFSET) for name in archive.files)
            offsets = tuple(np.asarray(archive[f"{_OFFSET}{stage}"], np.float32) for stage in range(stages))
            identity = str(archive[_IDENTITY]) if _IDENTITY in archive.files else None
            conditions = dict(json.loads(str(archive[_CONDITIONS]))) if _CONDITIONS in archive.files else {}
            cut = np.asarray(archive[_TRUNCATION], np.float64) if _TRUNCATION in archive.files else None
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; give an .npz {wrote}") from None
    except _UNREADABLE:
        raise InputError(f"{path}: contains no latents; give an .npz {wrote}") from None
    if latents.ndim != 2 or not len(latents) or latents.dtype.kind != "f" or not np.isfinite(latents).all():
        raise InputError(f"{path}: its latents are not a table of finite numbers; write it again")
    if identity not in (None, model.identity):
        raise InputError(
            f"{path}: contains latents of another model (identity {str(identity)[:12]}…) than {model.card.name} "
            f"({model.identity[:12]}…); use the model that generated them"
        )
    if latents.shape[1] != (size := model.card.architecture.latent):
        raise InputError(f"{path}: its latents have {latents.shape[1]} numbers; this model's have {size}")
    try:
        model.check_offsets(offsets, len(latents))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if cut is not None and (cut.shape != (len(latents),) or not ((cut >= 0) & (cut <= 1)).all()):
        raise InputError(f"{path}: its truncations are not one number from 0 to 1 for each latent; write it again")
    return Latents(latents.astype(np.float32), offsets, conditions, cut)
