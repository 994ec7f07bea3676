"""`napari-pgan-train prepare`: convert a cohort on disk to a store."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_pgan.errors import InputError

if TYPE_CHECKING:
    from napari_pgan.imaging.cohorts.cohort import Source
    from napari_pgan.imaging.preparation.options import Options


def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of subjects: BraTS, BIDS, DICOM, photographs with masks, or any layout with --plan."
        ),
    ],
    store: Annotated[
        str, typer.Argument(help="The store to create or continue: cohort.zarr, or s3://bucket/cohort.zarr.")
    ],
    plan: Annotated[
        Path | None, typer.Option(help="YAML file that assigns files to modalities, for any other layout.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Pixels along each side of a slice: 4 to 7 times a power of two; default 128.")
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            help="Side of the square field of view in mm; by default the smallest multiple of 16 that holds every head."
        ),
    ] = None,
    axis: Annotated[str | None, typer.Option(help="Slice orientation: axial (default), coronal or sagittal.")] = None,
    split: Annotated[
        str,
        typer.Option(
            help="Subjects for training, validation and test: three shares, or counts such as train=18,val=3,test=3. "
            "Counts fill test and val first; subjects beyond their sum are used for training."
        ),
    ] = "0.75,0.125,0.125",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of local processes, 0.5 to 0.7 GB each for BraTS; default one per core if memory allows.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a dask.distributed scheduler, whose workers replace local processes."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the cohort; default the name of the store.")] = None,
    sided: Annotated[
        bool | None,
        typer.Option(
            "--sided/--no-sided",
            help="Left and right differ: mirror images do not belong to this cohort, and no training may use them.",
        ),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Register each subject's modalities to one of them, and resample once.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Modality to which the others are registered and which is used for the brain mask and atlas; "
            "default the plan's, or the first."
        ),
    ] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Correct the bias field (N4).")] = False,
    strip: Annotated[bool, typer.Option("--strip", help="Remove the skull.")] = False,
    atlas: Annotated[
        str | None,
        typer.Option(help="Volume to which every subject is fitted (affinely), or 'template' for the shipped brain."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Resampling of label maps: nearest (default) or gaussian (smooth borders)."),
    ] = None,
    quality: Annotated[
        Path | None,
        typer.Option(
            help="Folder for transforms and the quality page, which names and shows registered or stripped subjects."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what is found and what is missing, without writing anything.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Prepare a cohort for training: read, orient, scale, crop, downsample, and split by subject.

    A subject that cannot be used is rejected with a reason, and the others continue. The same command run again does
    only what is missing. The report is printed, and stored with subject keys instead of names.

    Options take precedence over the plan's size, field of view, axis and side.

    Example: `napari-pgan-train prepare BraTS2021/ brats.zarr --size 128`
    """
    from napari_pgan.imaging.cohorts.plan import GridPlan, read_plan
    from napari_pgan.imaging.preparation.cluster import Cluster
    from napari_pgan.imaging.preparation.options import Options
    from napari_pgan.imaging.preparation.prepare import prepare as prepare_cohort
    from napari_pgan.imaging.preparation.workers import default_worker_count
    from napari_pgan.progress import emit, say
    from napari_pgan.store import SplitRule, is_in_memory

    if scheduler is not None and workers is not None:
        raise InputError("give either --workers (local processes) or --scheduler (a cluster), not both")
    read = read_plan(plan) if plan is not None else None
    grid = read.grid if read is not None else GridPlan()
    options = Options(
        size=size if size is not None else grid.size or 128,
        field_of_view=fov if fov is not None else grid.fov,
        axis=axis or grid.axis or "axial",
        split=SplitRule.parse(split),
        name=name,
        sided=sided,
        plan=read,
        register=register,
        reference=reference,
        bias=bias,
        strip=strip,
        atlas=atlas,
        labels=labels,
        folder=quality,
    )
    if dry_run:
        _list(source, options, as_json)
        return
    own = workers or (1 if is_in_memory(store) else default_worker_count())
    with _Stages() as stages:
        pool = own if scheduler is None else Cluster(scheduler, say)
        report = prepare_cohort(str(source), store, options, pool, stages)
    for line in report.lines():
        say(line)
    if as_json:
        emit(report.to_dict(with_names=True))
    if not report.subjects:
        raise InputError(f"none of the {report.found} subjects could be used, for the reasons above; {store} is empty")


def _list(source: Path, options: Options, as_json: bool) -> None:
    """Print the subjects and what is missing; raise InputError for options that `prepare` would refuse."""
    from napari_pgan.imaging.cohorts.cohort import source_files
    from napari_pgan.imaging.cohorts.discover import find_cohort
    from napari_pgan.imaging.preparation.report import count_subjects
    from napari_pgan.progress import emit, say

    plan = options.plan
    cohort = find_cohort(source, plan)
    if as_json:
        listed = []
        for subject in cohort.subjects:
            files = {
                part: str(file) if isinstance(file, Path) else [str(path) for path in source_files(file)]
                for part, file in subject.files.items()
            }
            listed.append({"name": subject.name, "files": files, "problem": subject.problem})
        emit(listed)
    else:
        for subject in cohort.subjects:
            found = ", ".join(_with_count(part, file) for part, file in sorted(subject.files.items()))
            say(f"{subject.name}: {'; '.join(filter(None, (subject.problem, found)))}")
    complete = sum(subject.problem is None for subject in cohort.subjects)
    say(f"Layout: {cohort.layout}; each subject needs {', '.join(cohort.content.parts)}")
    if left := cohort.unused:
        naming = "narrower or wider patterns" if plan is not None else "a plan file (--plan)"
        count = f"{len(left)} image files belong" if len(left) > 1 else "1 image file belongs"
        say(f"{count} to no modality, for example {' and '.join(map(str, left[:2]))}; {naming} can assign them")
    options.steps_for(cohort.content)
    say(f"{count_subjects(len(cohort.subjects))} found, {complete} of them complete; nothing was written")
    if not complete:
        first = next(subject for subject in cohort.subjects if subject.problem is not None)
        todo = "check the plan's patterns" if plan is not None else "assign the files in a plan (--plan)"
        raise InputError(f"no subject is complete ({first.name}: {first.problem}); {todo}")


def _with_count(part: str, file: Source) -> str:
    """Return the part, with its number of files if there are several."""
    from napari_pgan.imaging.cohorts.cohort import source_files

    files = source_files(file)
    return part if isinstance(file, Path) else f"{part} ({len(files)} file{'s' * (len(files) > 1)})"


class _Stages(contextlib.ExitStack):
    """Shows the progress of one stage after another."""

    def __init__(self) -> None:
        super().__init__()
        self._what = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        from napari_pgan.progress import progress

        if what != self._what:
            self.close()
            self._what = what
            self._update = self.enter_context(progress(what.capitalize(), total, "subjects")) if total else None
        if self._update is not None:
            self._update(done, "")
