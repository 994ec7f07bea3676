"""Sets of samples to generate, written as a folder, a sheet or an archive."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.latent import Walk, chunks, sample_part
from napari_pgan.model import Batch, Model, refined_rows
from napari_pgan.samples.nifti import sample_files, write_sample
from napari_pgan.samples.npz import read_note as read_npz_note
from napari_pgan.samples.npz import write_npz
from napari_pgan.samples.output_folder import claim
from napari_pgan.samples.provenance import provenance
from napari_pgan.samples.sheet import read_note as read_sheet_note
from napari_pgan.samples.sheet import write_sheet

FOLDER_NOTE = "samples.json"
_MAX_ON_SHEET = 256
_NO_FOLDER = {".jpg", ".jpeg", ".tif", ".tiff", ".gif", ".nii", ".gz", ".npy", ".zip", ".json", ".yaml", ".safetensors"}


@dataclass(frozen=True)
class SampleSet:
    """The samples to generate.

    Parameters
    ----------
    model
        The model.
    frames
        Latents, truncations and seeds.
    stems
        Prefix of each sample's file names, and its row label on a sheet.
    conditions, stage
        See `Model.sample`.
    """

    model: Model
    frames: Walk
    stems: tuple[str, ...]
    conditions: Mapping[str, str | float] = field(default_factory=dict)
    stage: int | None = None

    @classmethod
    def of_seeds(
        cls,
        model: Model,
        seeds: Sequence[int],
        truncation: float = 1.0,
        conditions: Mapping[str, str | float] | None = None,
        stage: int | None = None,
    ) -> SampleSet:
        """Return a set of one sample per seed, named after the seed; raises InputError for an invalid argument."""
        frames = Walk(model.latents(seeds), np.full(len(seeds), float(truncation)), tuple(seeds))
        return cls(model, frames, tuple(f"seed-{s:06d}" for s in seeds), dict(conditions or {}), stage)._checked()

    @classmethod
    def of_walk(
        cls, model: Model, walk: Walk, conditions: Mapping[str, str | float] | None = None, stage: int | None = None
    ) -> SampleSet:
        """Return a set of the numbered frames of a walk; raises InputError for an invalid argument."""
        stems = tuple(f"frame-{n:05d}" for n in range(len(walk)))
        return cls(model, walk, stems, dict(conditions or {}), stage)._checked()

    @classmethod
    def of_latents(
        cls,
        model: Model,
        latents: np.ndarray,
        truncation: float | np.ndarray = 1.0,
        conditions: Mapping[str, str | float] | None = None,
        stage: int | None = None,
        offsets: Sequence[np.ndarray] = (),
    ) -> SampleSet:
        """Return a set of one numbered sample per row of latents (N, L).

        Offsets are as in `Model.sample`; the truncation is a number or (N,). Raises InputError for an invalid argument.
        """
        cut = np.array(np.broadcast_to(truncation, len(latents)), np.float64)
        frames = Walk(latents, cut, (None,) * len(latents), tuple(offsets))
        stems = tuple(f"latent-{n:05d}" for n in range(len(latents)))
        return cls(model, frames, stems, dict(conditions or {}), stage)._checked()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def refined(self) -> int:
        """Number of samples with feature offsets."""
        return int(refined_rows(self.frames.offsets, len(self)).sum())

    def _checked(self) -> SampleSet:
        """Raise InputError for invalid arguments before anything is written, by generating the smallest image."""
        self.model.stage(self.stage)
        self.model.check_offsets(self.frames.offsets, len(self))
        for truncation in np.unique(self.frames.truncation):
            if not 0 <= truncation <= 1:
                raise InputError(f"truncation {truncation:g} is out of range; give 0 to 1")
        if len(self):
            self.model.sample(latents=self.frames.latents[:1], conditions=self.conditions, stage=0)
        return self

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits, equal for equal samples of the same model on the same kind of device."""
        card = replace(self.model.card, encoders={})  # encoders do not affect samples
        asked = [
            self.model.identity, card.to_dict(), self.model.device.type, self.model.stage(self.stage),
            sorted(self.conditions.items()), self.stems, self.frames.seeds, self.frames.truncation.tolist(),
            hashlib.sha256(np.ascontiguousarray(self.frames.latents, "<f4").tobytes()).hexdigest(),
        ]  # fmt: skip
        asked += [
            hashlib.sha256(np.ascontiguousarray(each, "<f4").tobytes()).hexdigest() for each in self.frames.offsets
        ]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]

    def batches(self, selected: Callable[[slice], bool] = lambda part: True) -> Iterator[tuple[slice, Batch]]:
        """Yield the selected chunks in order; chunk boundaries are fixed, since rounding depends on the batch."""
        for part in chunks(self.frames):
            if selected(part):
                yield part, sample_part(self.model, self.frames, part, stage=self.stage, conditions=self.conditions)


def write_samples(samples: SampleSet, out: str | Path, update: Callable[[int], None] = lambda done: None) -> list[Path]:
    """Generate samples and write them.

    Parameters
    ----------
    samples
        The samples.
    out
        ``….png``: a sheet; ``….npz``: an archive; otherwise a folder with NIfTI files and a sidecar per sample. If it
        exists and contains the same samples, only missing ones are generated; other existing content is an error.
    update
        Called with the number of finished samples.

    Returns
    -------
    list of Path
        The files of the samples.

    Raises
    ------
    InputError
        `out` contains something else, or its suffix is not supported.
    """
    out = Path(out)
    kind = out.suffix.lower()
    if kind == ".png":
        return _write_file(samples, out, update, read_sheet_note, _sheet)
    if kind == ".npz":
        return _write_file(samples, out, update, read_npz_note, _archive)
    if kind in _NO_FOLDER:
        raise InputError(f"{out}: samples cannot be written as {kind}; give a folder, a .png or an .npz")
    return _write_folder(samples, out, update)


def _write_file(
    samples: SampleSet,
    out: Path,
    update: Callable[[int], None],
    read_note: Callable[[Path], str | None],
    write: Callable[[Path, SampleSet, Batch], None],
) -> list[Path]:
    if out.exists():
        if read_note(out) != samples.fingerprint:
            raise InputError(f"{out}: already exists with other content; give another --out or delete it")
        update(len(samples))
        return [out]
    if write is _sheet and len(samples) > _MAX_ON_SHEET:
        raise InputError(
            f"{len(samples)} samples do not fit on a sheet, which has room for {_MAX_ON_SHEET}; give an .npz"
        )
    parts = []
    for part, batch in samples.batches():
        parts.append(replace(batch, probabilities=np.empty(0, np.float32)))  # large and not written
        update(part.stop)
    images, labels, latents = (np.concatenate([getattr(b, k) for b in parts]) for k in ("images", "labels", "latents"))
    merged = replace(parts[0], images=images, labels=labels, latents=latents, offsets=samples.frames.offsets)
    write(out, samples, merged)
    return [out]


def _sheet(out: Path, samples: SampleSet, batch: Batch) -> None:
    channels = samples.model.card.channels
    rows = [stem.split("-")[0] + f" {int(stem.split('-')[1])}" for stem in samples.stems]
    write_sheet(out, batch.images, batch.labels, channels, rows, note=samples.fingerprint)


def _archive(out: Path, samples: SampleSet, batch: Batch) -> None:
    write_npz(out, batch, samples.model, samples.fingerprint, truncation=samples.frames.truncation)


def _write_folder(samples: SampleSet, out: Path, update: Callable[[int], None]) -> list[Path]:
    card = samples.model.card
    has_labels = bool(card.channels.labels)
    files = [sample_files(out, stem, card.channels, has_labels) for stem in samples.stems]
    described = {
        "limits": card.limits,
        "model": card.name,
        "model_identity": samples.model.identity,
        "samples": len(samples),
    }
    claim(out, FOLDER_NOTE, samples.fingerprint, described)

    def unfinished(part: slice) -> bool:
        return not all(path.is_file() for paths in files[part] for path in paths)

    for part, batch in samples.batches(unfinished):
        refined = batch.refined
        for row, index in enumerate(range(part.start, part.stop)):
            made_by = provenance(
                card, samples.model.identity, samples.frames.seeds[index], batch.latents[row], batch.truncation,
                samples.conditions, samples.stage, refined[row],
            )  # fmt: skip
            labels = batch.labels[row] if has_labels else None
            write_sample(
                out, samples.stems[index], batch.images[row], labels, batch.grid, card.channels, made_by,
                card.intensity, card.limits,
            )  # fmt: skip
        update(part.stop)
    update(len(samples))
    return [path for paths in files for path in paths]
