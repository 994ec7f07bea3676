"""Prepare a cohort into a store, one task per subject; failing subjects are rejected with a reason."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts.cohort import Cohort, CohortSubject
from napari_pgan.imaging.cohorts.discover import find_cohort
from napari_pgan.imaging.io.errors import SubjectRejected
from napari_pgan.imaging.normalise import intensity
from napari_pgan.imaging.preparation.cluster import Cluster
from napari_pgan.imaging.preparation.options import Options
from napari_pgan.imaging.preparation.quality_page import count_without_pictures, write_page
from napari_pgan.imaging.preparation.report import PreparationReport, RejectedSubject
from napari_pgan.imaging.preparation.survey import choose_shared_settings, survey_subject
from napari_pgan.imaging.preparation.workers import Workers
from napari_pgan.imaging.preprocessing import photographs
from napari_pgan.imaging.preprocessing.photographs import prepare_photographs
from napari_pgan.imaging.preprocessing.steps import PreprocessingSteps
from napari_pgan.imaging.preprocessing.subject import ORIENTATIONS, SLICE_RULE, SubjectSettings, prepare_subject
from napari_pgan.imaging.registration.atlas import SHIPPED
from napari_pgan.schema import Channels, Grid
from napari_pgan.store import (
    SPLITS,
    SplitRule,
    StoreWriter,
    UnreachableStore,
    create_store,
    extend_store,
    is_free,
    is_in_memory,
    is_remote,
    salt,
    salt_check,
    subject_key,
)
from napari_pgan.store.address import Address, zarr_path

Progress = Callable[[str, int, int], None]


def prepare(
    source: str, address: Address, options: Options, workers: int | Cluster = 1, progress: Progress | None = None
) -> PreparationReport:
    """Prepare a cohort into a store; subjects already finished there are unchanged.

    Parameters
    ----------
    source
        Folder with the subjects.
    address
        The store: a folder or an fsspec address.
    options
        User options.
    workers
        Number of processes, or a cluster. A subject of BraTS size needs 0.5 GB.
    progress
        Called with the current phase, the number of finished subjects and the total.

    Raises
    ------
    InputError
        No subject is usable, the address is not a store or one with other settings, or the store or the cluster cannot
        be reached.
    """
    start = time.monotonic()
    report_progress = progress or (lambda phase, done, total: None)
    if workers != 1 and is_in_memory(address):
        raise InputError(f"{address} is in the memory of one process, which others cannot access; give --workers 1")
    if isinstance(workers, Cluster):
        source, address, options = _absolute_paths(source, address, options)
    secret = salt()
    cohort = find_cohort(source, options.plan)
    found = cohort.subjects
    keys = {subject.name: subject_key(subject.name, secret) for subject in found}
    rejected = [RejectedSubject(s.name, keys[s.name], s.problem) for s in found if s.problem]
    usable = [subject for subject in found if not subject.problem]
    with workers if isinstance(workers, Cluster) else Workers(max(1, min(workers, len(usable)))) as pool:
        if isinstance(pool, Cluster):
            pool.check(source)
        if is_free(address):
            writer = _create(cohort, usable, address, options, salt_check(secret), pool, report_progress)
        else:
            writer = _continue(cohort, address, options, salt_check(secret))
        if isinstance(pool, Cluster) and not is_remote(address):
            pool.check(zarr_path(address))
        finished = writer.finished()
        _check_split_rule(address, writer, finished, options.split)
        missing = [subject for subject in usable if keys[subject.name] not in finished]
        frame = _frame(writer, options.atlas)
        tasks = [
            _Task(
                subject,
                keys[subject.name],
                subject_key(subject.person or subject.name, secret),
                str(address),
                writer.channels,
                frame,
                cohort.content.photographs,
                options.folder,
            )
            for subject in missing
        ]
        report_progress("subjects", 0, len(tasks))
        for done, result in enumerate(pool.map(_prepare_task, tasks), 1):
            if result is not None:
                rejected.append(result)
            report_progress("subjects", done, len(tasks))
    splits = writer.assign_splits(options.split)
    subjects = {key: {**about, "split": splits[key]} for key, about in writer.finished().items()}
    report = PreparationReport(
        name=writer.attributes["name"],
        found=len(found),
        new=len(subjects) - len(finished),
        rejected=tuple(sorted(rejected, key=lambda a: a.name)),
        subjects=subjects,
        names={key: name for name, key in keys.items()},
        field_of_view=frame.field_of_view,
        size=frame.size,
        axis=frame.axis,
        seconds=time.monotonic() - start,
        requested=options.split.numbers,
    )
    if options.folder is not None:
        report = replace(report, without_pictures=count_without_pictures(options.folder, report))
        write_page(options.folder, report)
    writer.update_attributes(report=report.to_dict(with_names=False), split_rule=str(options.split))
    return report


def _absolute_paths(source: str, address: Address, options: Options) -> tuple[str, Address, Options]:
    """Make paths absolute for workers with other working directories."""
    folder = options.folder and options.folder.absolute()
    store = address if is_remote(address) else os.path.abspath(zarr_path(address))
    return os.path.abspath(source), store, replace(options, folder=folder)


@dataclass(frozen=True)
class _Task:
    subject: CohortSubject
    key: str
    person: str
    address: str
    channels: Channels
    frame: SubjectSettings
    photographs: bool
    folder: Path | None


def _prepare_task(task: _Task) -> RejectedSubject | None:
    """Prepare one subject into the store; return the reason if it is rejected."""
    try:
        if task.photographs:
            prepared = prepare_photographs(task.subject.files, task.channels, task.frame.size, task.frame.ignored)
        else:
            folder = task.folder / task.key if task.folder is not None else None
            prepared = prepare_subject(task.subject.files, task.channels, task.frame, folder)
        extend_store(task.address).add_subject(
            task.key,
            prepared.images,
            prepared.labels,
            spacing=prepared.spacing,
            slices=prepared.slices,
            brain_slices=prepared.brain_slices,
            attributes={**prepared.attributes, "person": task.person},
        )
    except SubjectRejected as error:
        return RejectedSubject(task.subject.name, task.key, error.problem, error.figures)
    except (OSError, UnreachableStore):
        raise  # the store cannot be written, so other subjects would fail, too
    except Exception as error:  # the message may contain names, so the store gets only the class
        reason = f"an internal error occurred ({type(error).__name__}); please report it"
        return RejectedSubject(task.subject.name, task.key, reason)
    return None


def _check_split_rule(
    address: Address, writer: StoreWriter, finished: dict[str, dict[str, Any]], rule: SplitRule
) -> None:
    """Raise if a new split rule has no place for the subjects that already have a split."""
    before = writer.attributes.get("split_rule", str(rule))
    by_person = {about.get("person", key): about["split"] for key, about in finished.items() if about.get("split")}
    present = Counter(by_person.values())
    if not finished or before == str(rule):
        return
    if rule.numbers is not None and all(present[name] <= n for name, n in zip(SPLITS, rule.numbers, strict=True)):
        return
    raise InputError(
        f"{address} was split with --split {before}, and subjects keep their split; give the same rule, counts that "
        "hold all existing subjects, or another store"
    )


def _create(
    cohort: Cohort,
    usable: Sequence[CohortSubject],
    address: Address,
    options: Options,
    check: str,
    pool: Workers | Cluster,
    report_progress: Progress,
) -> StoreWriter:
    """Survey all subjects and create the store with their shared settings."""
    steps = options.steps_for(cohort.content)
    surveys = []
    report_progress("survey", 0, len(usable))
    tasks = [(subject, options.axis, cohort.content, steps, options.atlas) for subject in usable]
    for survey in pool.map(survey_subject, tasks):
        surveys.append(survey)
        report_progress("survey", len(surveys), len(usable))
    shared = choose_shared_settings(cohort, surveys)
    pictures = cohort.content.photographs
    field_of_view = None if pictures else options.field_of_view or shared.field_of_view
    pixel = None if field_of_view is None else (field_of_view / options.size,) * 2
    sided = options.plan.sided if options.plan is not None and options.sided is None else options.sided
    return create_store(
        address,
        name=options.name or _name_of(address),
        channels=shared.channels,
        grid=Grid(
            (options.size, options.size),
            pixel,
            None if pictures else ORIENTATIONS[options.axis][1:],
            shared.slice_spacing,
            sided,
        ),
        intensity=dict.fromkeys(shared.channels.modalities, (photographs if pictures else intensity).MEANING),
        volume_orientation=ORIENTATIONS[options.axis],
        normalisation_rule=(photographs if pictures else intensity).RULE,
        slice_rule=photographs.SLICE_RULE if pictures else SLICE_RULE,
        settings={
            "size": options.size,
            "field_of_view": field_of_view,
            "field_of_view_given": options.field_of_view is not None,
            "axis": options.axis,
            "ignored": list(cohort.content.ignored),
            "steps": steps.to_dict(),
        },
        salt_check=check,
    )


def _continue(cohort: Cohort, address: Address, options: Options, check: str) -> StoreWriter:
    """Open an existing store after checking that its settings are the same."""
    writer = extend_store(address)
    stored = writer.attributes.get("settings")
    if stored is None:
        raise InputError(f"{address} was not made by `prepare`; give a new store")
    requested: dict[str, Any] = {"--size": (options.size, stored["size"]), "--axis": (options.axis, stored["axis"])}
    now, before = options.steps_for(cohort.content), PreprocessingSteps.from_dict(stored.get("steps", {}))
    for step in ("register", "bias", "strip", "atlas", "labels", "reference"):
        requested[f"--{step}"] = (getattr(now, step), getattr(before, step))
    if options.field_of_view is not None:
        requested["--fov"] = (options.field_of_view, stored["field_of_view"])
    if options.name is not None:
        requested["--name"] = (options.name, writer.attributes["name"])
    content = cohort.content
    if content.modalities != writer.channels.modalities or content.labels not in (None, writer.channels.labels):
        raise InputError(f"{address} was prepared with different modalities or labels; give a new store")
    for option, (new, old) in requested.items():
        if new != old:
            raise InputError(f"{address} was prepared {_difference(option, old, new)}; give a new store")
    if writer.attributes.get("salt_check") != check:
        raise InputError(
            f"{address} was created with another secret salt, so its subjects would be added again; "
            "set NAPARI_PGAN_SALT to the original salt, or name a new store"
        )
    if options.sided not in (None, writer.grid.sided):
        writer.set_sided(options.sided)
    return writer


def _difference(option: str, old: Any, new: Any) -> str:
    """How the stored value of an option differs from the requested one."""
    if option == "--atlas":
        kinds = {None: "without --atlas", SHIPPED: "with --atlas template"}
        return kinds.get(old, "with a different --atlas volume")
    if old is None or old is False:
        return f"without {option}"
    return f"with {option}" if old is True else f"with {option} {old}, not {new}"


def _frame(writer: StoreWriter, atlas: str | None) -> SubjectSettings:
    stored = writer.attributes["settings"]
    return SubjectSettings(
        stored["size"],
        stored["field_of_view"] or 0.0,
        stored["axis"],
        stored["field_of_view_given"],
        tuple(stored.get("ignored", ())),
        PreprocessingSteps.from_dict(stored.get("steps", {})),
        atlas,
    )


def _name_of(address: Address) -> str:
    """Last part of the address without suffix."""
    last = str(address).replace("\\", "/").rstrip("/").rpartition("/")[2]
    return last.removesuffix(".zarr") or "cohort"
