"""The command `prepare`: a cohort on disk → a store."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from napari_pgan.errors import InputError


def prepare(
    source: Annotated[Path, typer.Argument(help="Folder with the subjects, in a layout of BraTS 2012 to 2023.")],
    store: Annotated[str, typer.Argument(help="The store to make or go on with, such as cohort.zarr.")],
    size: Annotated[int, typer.Option(help="Pixels along each side of a slice: 4 to 7 times a power of two.")] = 128,
    fov: Annotated[
        float | None,
        typer.Option(
            help="Field of view in mm, a square; by default the smallest multiple of 16 that holds every head."
        ),
    ] = None,
    axis: Annotated[str, typer.Option(help="Direction of the slices: axial, coronal or sagittal.")] = "axial",
    split: Annotated[
        str, typer.Option(help="Subjects to train, validate and test: three shares, or train=18,val=3,test=3.")
    ] = "0.75,0.125,0.125",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, about 0.4 GB each; by default one a core.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the cohort; by default that of the store.")] = None,
    sided: Annotated[
        bool | None,
        typer.Option(
            "--sided/--no-sided",
            help="Left and right differ: a mirror image is none of this cohort, and no training may make any.",
        ),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Register each subject's modalities to one of them, and resample once.")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help="The modality that --register brings the others to; by default t1.")
    ] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Take out the coil's shading (N4).")] = False,
    strip: Annotated[bool, typer.Option("--strip", help="Keep the brain alone of heads with skull.")] = False,
    quality: Annotated[
        Path | None,
        typer.Option(help="Folder for the page that shows and names every registered subject, and the transforms."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what is found and what is missing; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Prepare a cohort for training: read, orient, scale, crop, reduce, split by subject.

    A subject that cannot be used is set aside with its reason, and the others go on. Run again, the same command does
    only what is missing. The report is printed, and kept in the store with keys in place of names.

    Example: `napari-pgan-train prepare BraTS2021/ brats.zarr --size 128`
    """
    from napari_pgan.imaging.cohort import find_subjects
    from napari_pgan.imaging.prepare import Options
    from napari_pgan.imaging.prepare import prepare as prepare_cohort
    from napari_pgan.imaging.steps import Steps
    from napari_pgan.imaging.workers import available_cores
    from napari_pgan.store import SplitRule
    from napari_pgan.training.console import emit, say

    if not register and (quality is not None or reference is not None):
        raise InputError("--reference and --quality say how to register; give --register too")
    steps = Steps(reference or "t1" if register else None, bias, strip)
    options = Options(size, fov, axis, SplitRule.parse(split), name, sided, steps, quality)
    if dry_run:
        found = find_subjects(source)
        if as_json:
            files = [{part: str(path) for part, path in s.files.items()} for s in found]
            emit([{"name": s.name, "files": f, "problem": s.problem} for s, f in zip(found, files, strict=True)])
            return
        for subject in found:
            say(f"{subject.name}: {subject.problem or ', '.join(subject.files)}")
        say(f"{len(found)} subjects found, {sum(s.problem is None for s in found)} of them complete; nothing written")
        return
    with _Stages() as stages:
        report = prepare_cohort(str(source), store, options, workers or available_cores(), stages)
    for line in report.lines():
        say(line)
    if as_json:
        emit(report.to_dict(with_names=True))
    if not report.subjects:
        raise InputError(f"none of the {report.found} subjects could be used, for the reasons above; {store} is empty")


class _Stages(contextlib.ExitStack):
    """Shows one progress after the other, as the work moves from stage to stage."""

    def __init__(self) -> None:
        super().__init__()
        self._what = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        from napari_pgan.training.console import progress

        if what != self._what:
            self.close()
            self._what = what
            self._update = self.enter_context(progress(what.capitalize(), total, "subjects")) if total else None
        if self._update is not None:
            self._update(done, "")
