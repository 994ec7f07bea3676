"""Write phantom cohorts in the BraTS layout."""

from __future__ import annotations

import gzip
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError
from napari_pgan.imaging.preparation.workers import Workers
from napari_pgan.phantom.signal import MODALITIES
from napari_pgan.phantom.subject import MAX_SIZE, MIN_SIZE, PhantomSubject, make_subject

VERSION = 1  # incremented when the voxels of a seed change
COHORT_FILE = "cohort.json"


def subject_name(number: int) -> str:
    """Return the folder name of a subject; numbers start at 1."""
    return f"phantom_{number:04d}"


def subject_seed(seed: int, number: int) -> int:
    """Return the seed of one subject, independent of the number of subjects."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def write_cohort(
    out: str | os.PathLike[str],
    subjects: int,
    seed: int,
    size: int = 128,
    skull: bool = False,
    workers: int = 1,
    progress: Callable[[int, str], None] | None = None,
) -> list[Path]:
    """Write phantom subjects in the BraTS layout and their ground truth to ``OUT/cohort.json``.

    Files are ``OUT/phantom_0001/phantom_0001_{t1,t1ce,t2,flair,seg}.nii.gz``, int16 (seg: uint8). Each subject's folder
    is written atomically. A repeated call writes only missing subjects.

    Parameters
    ----------
    out
        Output folder: new, empty, or with a cohort of the same settings.
    subjects
        Number of subjects, at least 1.
    seed, size, skull
        As in `make_subject`; each subject gets its own seed, recorded in ``cohort.json``.
    workers
        Number of processes; 1 uses the current one.
    progress
        Called with the number of finished subjects and the name of the latest one.

    Returns
    -------
    list of Path
        Folders of the subjects in order.

    Raises
    ------
    InputError
        An argument is out of range, or the folder has other content or a cohort of other settings.
    """
    folder = Path(out)
    _check(subjects, seed, size, workers)
    settings = {"version": VERSION, "seed": seed, "size": size, "skull": skull}
    record = _open_record(folder, settings)
    names = [subject_name(number) for number in range(1, subjects + 1)]
    missing = [n for n, name in enumerate(names, 1) if name not in record["subjects"] or not _complete(folder / name)]
    for temporary in folder.glob(".phantom_*"):  # left by an interrupted run
        shutil.rmtree(temporary, ignore_errors=True)
    done = subjects - len(missing)
    if progress:
        progress(done, "")
    tasks = [(str(folder), number, subject_seed(seed, number), size, skull) for number in missing]
    with Workers(max(1, min(workers, len(tasks)))) as pool:
        for name, truth in pool.map(_write_subject, tasks):
            record["subjects"][name] = truth
            _save(folder, record)
            done += 1
            if progress:
                progress(done, name)
    return [folder / name for name in names]


def _check(subjects: int, seed: int, size: int, workers: int) -> None:
    if not 1 <= subjects <= 9999:
        raise InputError(f"{subjects} is not a valid number of subjects; give 1 to 9999")
    if seed < 0:
        raise InputError(f"the seed {seed} is negative; give a whole number from 0")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"the size {size} is not between {MIN_SIZE} and {MAX_SIZE}; give for example 64 or 128")
    if workers < 1:
        raise InputError(f"{workers} is not a valid number of workers; give 1 or more")


def _open_record(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Record of the cohort in `folder`, created if the folder is new or empty."""
    path = folder / COHORT_FILE
    if folder.is_file():
        raise InputError(f"{folder} is a file; give a folder for the cohort")
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} contains other files and no {COHORT_FILE}; give a new or empty folder")
        record: dict[str, Any] = {"what": "synthetic glioma phantoms, no patients", **settings, "subjects": {}}
        _save(folder, record)
        return record
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        stored = {name: record[name] for name in settings}
        record["subjects"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} cannot be read as a phantom cohort's record; name another folder") from None
    if stored != settings:
        other = ", ".join(f"{name} {stored[name]}" for name in settings if stored[name] != settings[name])
        raise InputError(f"{folder} already contains a cohort with {other}; give the same settings or another folder")
    return record


def _save(folder: Path, record: dict[str, Any]) -> None:
    record["subjects"] = dict(sorted(record["subjects"].items()))
    write_text(folder / COHORT_FILE, json.dumps(record, indent=1) + "\n")


def _complete(folder: Path) -> bool:
    return all((folder / f"{folder.name}_{kind}.nii.gz").is_file() for kind in (*MODALITIES, "seg"))


def _write_subject(task: tuple[str, int, int, int, bool]) -> tuple[str, dict[str, Any]]:
    """Write one subject; return its name and ground truth."""
    out, number, seed, size, skull = task
    subject = make_subject(seed, size, skull)
    name = subject_name(number)
    temporary = Path(out) / f".{name}.{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        for modality in MODALITIES:
            data = np.clip(np.rint(subject.images[modality]), 0, 32767).astype(np.int16)
            _write(temporary / f"{name}_{modality}.nii.gz", data, subject)
        _write(temporary / f"{name}_seg.nii.gz", subject.labels, subject)
        target = Path(out) / name
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return name, {"seed": seed, **subject.truth()}


def _write(path: Path, data: np.ndarray, subject: PhantomSubject) -> None:
    image = nib.Nifti1Image(data.transpose(), subject.grid.affine())
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"synthetic phantom, not for diagnosis"
    with open(path, "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=4, mtime=0) as packed:
            packed.write(image.to_bytes())
        file.flush()
        os.fsync(file.fileno())
