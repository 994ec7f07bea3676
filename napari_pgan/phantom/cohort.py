"""A phantom cohort on disk, in the layout of BraTS."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from napari_pgan.atomic import write_text
from napari_pgan.errors import InputError
from napari_pgan.phantom.signal import MODALITIES
from napari_pgan.phantom.subject import MAX_SIZE, MIN_SIZE, PhantomSubject, make_subject

VERSION = 1  # rises when the same seed gives other voxels
COHORT_FILE = "cohort.json"


def subject_name(number: int) -> str:
    """The folder of the subject with that number, which counts from 1."""
    return f"phantom_{number:04d}"


def subject_seed(seed: int, number: int) -> int:
    """The seed of one subject of a cohort; it does not depend on how many subjects there are."""
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
    """Write phantom subjects in the layout of BraTS, and what is known about them in ``OUT/cohort.json``.

    Files are ``OUT/phantom_0001/phantom_0001_{t1,t1ce,t2,flair,seg}.nii.gz``, int16 and, for seg, uint8. A
    subject's folder appears whole or not at all. Called again, it writes only what is missing; with more subjects it
    adds the new ones.

    Parameters
    ----------
    out
        The folder. One that holds a cohort of other settings is refused.
    subjects
        How many; at least 1.
    seed, size, skull
        As in `make_subject`; every subject gets a seed of its own, written in ``cohort.json``.
    workers
        Processes. 1 works in this one.
    progress
        Called with how many subjects are there and the name of the newest.

    Returns
    -------
    list of Path
        The subjects' folders, in order.

    Raises
    ------
    InputError
        For impossible numbers, a folder that is in use otherwise, or a cohort of other settings.
    """
    folder = Path(out)
    _check(subjects, seed, size, workers)
    settings = {"version": VERSION, "seed": seed, "size": size, "skull": skull}
    record = _opened(folder, settings)
    names = [subject_name(number) for number in range(1, subjects + 1)]
    missing = [n for n, name in enumerate(names, 1) if name not in record["subjects"] or not _whole(folder / name)]
    for left in folder.glob(".phantom_*"):  # of a run that was cut off
        shutil.rmtree(left, ignore_errors=True)
    done = subjects - len(missing)
    if progress:
        progress(done, "")

    def finished(number: int, truth: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        record["subjects"][subject_name(number)] = truth
        _save(folder, record)
        if progress:
            progress(done, subject_name(number))

    jobs = [(str(folder), number, subject_seed(seed, number), size, skull) for number in missing]
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            finished(job[1], _write_subject(*job))
    else:
        _in_processes(jobs, min(workers, len(jobs)), finished)
    return [folder / name for name in names]


def _check(subjects: int, seed: int, size: int, workers: int) -> None:
    if not 1 <= subjects <= 9999:
        raise InputError(f"{subjects} subjects were asked for; give 1 to 9999")
    if seed < 0:
        raise InputError(f"the seed {seed} is negative; give a whole number from 0")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise InputError(f"the size {size} is not between {MIN_SIZE} and {MAX_SIZE}; 64 and 128 are usual")
    if workers < 1:
        raise InputError(f"{workers} workers cannot work; give 1 or more")


def _opened(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The record of the cohort in `folder`, begun if the folder is new or empty."""
    path = folder / COHORT_FILE
    if folder.is_file():
        raise InputError(f"{folder} is a file; name a folder for the cohort")
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} holds other files and no {COHORT_FILE}; name a new or empty folder")
        record: dict[str, Any] = {"what": "synthetic glioma phantoms, no patients", **settings, "subjects": {}}
        _save(folder, record)
        return record
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        there = {name: record[name] for name in settings}
        record["subjects"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} cannot be read as a phantom cohort's record; name another folder") from None
    if there != settings:
        other = ", ".join(f"{name} {there[name]}" for name in settings if there[name] != settings[name])
        raise InputError(f"{folder} already holds a cohort with {other}; give the same settings or another folder")
    return record


def _save(folder: Path, record: dict[str, Any]) -> None:
    record["subjects"] = dict(sorted(record["subjects"].items()))
    write_text(folder / COHORT_FILE, json.dumps(record, indent=1) + "\n")


def _whole(folder: Path) -> bool:
    return all((folder / f"{folder.name}_{kind}.nii.gz").is_file() for kind in (*MODALITIES, "seg"))


def _write_subject(out: str, number: int, seed: int, size: int, skull: bool) -> dict[str, Any]:
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
    return {"seed": seed, **subject.truth()}


def _write(path: Path, data: np.ndarray, subject: PhantomSubject) -> None:
    image = nib.Nifti1Image(data.transpose(), subject.grid.affine())
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"synthetic phantom, not for diagnosis"
    with open(path, "wb") as file:
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=4, mtime=0) as packed:
            packed.write(image.to_bytes())
        file.flush()
        os.fsync(file.fileno())


def _in_processes(jobs: list[tuple[Any, ...]], workers: int, finished: Callable[[int, dict[str, Any]], None]) -> None:
    # One thread a process: several would only get in each other's way.
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            running = {pool.submit(_write_subject, *job): job[1] for job in jobs}
            try:
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        finished(running.pop(future), future.result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
