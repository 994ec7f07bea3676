"""A cohort on disk to a store: every subject a task, the ones that fail set aside, the finished ones kept."""

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
from napari_pgan.imaging.preparation.survey import choose_shared_settings, look
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
    """Bring a cohort into a store; what is finished there already stays as it is.

    Parameters
    ----------
    source
        The folder that holds the subjects.
    address
        The store: a folder, or any address that fsspec knows.
    options
        What to make of it.
    workers
        Processes of this machine, one subject each, or a cluster. One of BraTS's size takes 0.5 GB.
    progress
        Called with what is going on, the subjects done and how many there are.

    Raises
    ------
    InputError
        No subject can be used; the store is another one: with other settings, or not a store at all; or it, or the
        cluster, cannot be reached.
    """
    began = time.monotonic()
    tell = progress or (lambda what, done, total: None)
    if workers != 1 and is_in_memory(address):
        raise InputError(f"{address} is the memory of one process, which others do not see; give --workers 1 alone")
    if isinstance(workers, Cluster):
        source, address, options = _seen_from_everywhere(source, address, options)
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
            writer = _begin(cohort, usable, address, options, salt_check(secret), pool, tell)
        else:
            writer = _continue(cohort, address, options, salt_check(secret))
        if isinstance(pool, Cluster) and not is_remote(address):
            pool.check(zarr_path(address))
        finished = writer.finished()
        _refuse_other_split(address, writer, finished, options.split)
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
        tell("subjects", 0, len(tasks))
        for done, result in enumerate(pool.map(_do, tasks), 1):
            if result is not None:
                rejected.append(result)
            tell("subjects", done, len(tasks))
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
        seconds=time.monotonic() - began,
        requested=options.split.numbers,
    )
    if options.folder is not None:
        report = replace(report, without_pictures=count_without_pictures(options.folder, report))
        write_page(options.folder, report)
    writer.update_attributes(report=report.to_dict(with_names=False), split_rule=str(options.split))
    return report


def _seen_from_everywhere(source: str, address: Address, options: Options) -> tuple[str, Address, Options]:
    """The same places for workers that stand in other folders."""
    folder = options.folder and options.folder.absolute()
    where = address if is_remote(address) else os.path.abspath(zarr_path(address))
    return os.path.abspath(source), where, replace(options, folder=folder)


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


def _do(task: _Task) -> RejectedSubject | None:
    """Prepare one subject into the store; its reason when it is to be set aside."""
    try:
        if task.photographs:
            made = prepare_photographs(task.subject.files, task.channels, task.frame.size, task.frame.ignored)
        else:
            folder = task.folder / task.key if task.folder is not None else None
            made = prepare_subject(task.subject.files, task.channels, task.frame, folder)
        extend_store(task.address).add_subject(
            task.key,
            made.images,
            made.labels,
            spacing=made.spacing,
            slices=made.slices,
            brain_slices=made.brain_slices,
            attributes={**made.attributes, "person": task.person},
        )
    except SubjectRejected as error:
        return RejectedSubject(task.subject.name, task.key, error.problem, error.figures)
    except (OSError, UnreachableStore):
        raise  # the store cannot be written; no other subject would fare better
    except Exception as error:  # the message may hold names, so only its kind goes into the store
        reason = f"it met a fault of this program ({type(error).__name__}); please report it"
        return RejectedSubject(task.subject.name, task.key, reason)
    return None


def _refuse_other_split(
    address: Address, writer: StoreWriter, finished: dict[str, dict[str, Any]], rule: SplitRule
) -> None:
    """Subjects keep their split, so another rule must have a place for every one that is there."""
    before = writer.attributes.get("split_rule", str(rule))
    by_person = {about.get("person", key): about["split"] for key, about in finished.items() if about.get("split")}
    present = Counter(by_person.values())
    if not finished or before == str(rule):
        return
    if rule.numbers is not None and all(present[name] <= n for name, n in zip(SPLITS, rule.numbers, strict=True)):
        return
    raise InputError(
        f"{address} was split by --split {before}, and subjects keep their split; give the same, counts with room for "
        "all that are there, or prepare into another store"
    )


def _begin(
    cohort: Cohort,
    usable: Sequence[CohortSubject],
    address: Address,
    options: Options,
    check: str,
    pool: Workers | Cluster,
    tell: Progress,
) -> StoreWriter:
    """Look at every subject, and create the store with what they will share."""
    steps = options.steps_for(cohort.content)
    looks = []
    tell("first look", 0, len(usable))
    for seen in pool.map(look, [(subject, options.axis, cohort.content, steps, options.atlas) for subject in usable]):
        looks.append(seen)
        tell("first look", len(looks), len(usable))
    shared = choose_shared_settings(cohort, looks)
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
    """Open the store that is there, if it was begun with the same settings."""
    writer = extend_store(address)
    have = writer.attributes.get("settings")
    if have is None:
        raise InputError(f"{address} was not made by `prepare`; name a new store")
    asked: dict[str, Any] = {"--size": (options.size, have["size"]), "--axis": (options.axis, have["axis"])}
    now, before = options.steps_for(cohort.content), PreprocessingSteps.from_dict(have.get("steps", {}))
    asked["--register"] = (now.register, before.register)
    asked["--bias"] = (now.bias, before.bias)
    asked["--strip"] = (now.strip, before.strip)
    asked["--atlas"] = (now.atlas, before.atlas)
    asked["--labels"] = (now.labels, before.labels)
    asked["--reference"] = (now.reference, before.reference)
    if options.field_of_view is not None:
        asked["--fov"] = (options.field_of_view, have["field_of_view"])
    if options.name is not None:
        asked["--name"] = (options.name, writer.attributes["name"])
    content = cohort.content
    if content.modalities != writer.channels.modalities or content.labels not in (None, writer.channels.labels):
        raise InputError(f"{address} was prepared with other modalities or labels than these; name a new store")
    for option, (new, old) in asked.items():
        if new != old:
            raise InputError(f"{address} was prepared {_otherwise(option, old, new)}; name a new store")
    if writer.attributes.get("salt_check") != check:
        raise InputError(
            f"{address} was begun with another secret salt, so its subjects would be taken for new ones; "
            "set NAPARI_PGAN_SALT to the first one, or name a new store"
        )
    if options.sided not in (None, writer.grid.sided):
        writer.set_sided(options.sided)
    return writer


def _otherwise(option: str, old: Any, new: Any) -> str:
    """How a store was prepared where it is now asked for otherwise."""
    if option == "--atlas":
        kinds = {None: "without --atlas", SHIPPED: "with --atlas template"}
        another = "with another --atlas than this" if new not in kinds else "with a volume of your own as --atlas"
        return kinds.get(old, another)
    if old is None or old is False:
        return f"without {option}"
    return f"with {option}" if old is True else f"with {option} {old}, not {new}"


def _frame(writer: StoreWriter, atlas: str | None) -> SubjectSettings:
    have = writer.attributes["settings"]
    return SubjectSettings(
        have["size"],
        have["field_of_view"] or 0.0,
        have["axis"],
        have["field_of_view_given"],
        tuple(have.get("ignored", ())),
        PreprocessingSteps.from_dict(have.get("steps", {})),
        atlas,
    )


def _name_of(address: Address) -> str:
    """The last part of the address without its suffix."""
    last = str(address).replace("\\", "/").rstrip("/").rpartition("/")[2]
    return last.removesuffix(".zarr") or "cohort"
