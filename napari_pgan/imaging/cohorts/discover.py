"""Finding the subjects of a cohort on disk, in whatever layout."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts import bids, brats, dicom_tree, photo_folders
from napari_pgan.imaging.cohorts.cohort import Cohort, source_files, walk_files
from napari_pgan.imaging.cohorts.plan import CohortPlan
from napari_pgan.imaging.io.metaimage import SUFFIXES

_VOLUMES = (".nii", ".nii.gz", ".dcm", *SUFFIXES)


def find_cohort(source: str | os.PathLike[str], plan: CohortPlan | None = None) -> Cohort:
    """The subjects below a folder, sorted by name, those that cannot be used included.

    Without a plan the layout is the first that fits of BIDS, BraTS (2012 to 2023), folders of photographs and masks,
    and DICOM.

    Raises
    ------
    InputError
        There is no such folder, or nothing in it is where a layout, or the plan, expects it.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{source} is no folder; name the folder that holds the subjects")
    paths = [path.relative_to(folder) for path in walk_files(folder)]
    if plan is not None:
        found = plan.find(folder, paths)
        if not found.subjects:
            raise InputError(f"no file of the {len(paths)} in {source} fits a pattern of the plan; compare their paths")
        return _with_unclaimed(found, folder, paths)
    for layout in (bids, brats, photo_folders, dicom_tree):
        if cohort := layout.find(folder, paths):
            return _with_unclaimed(cohort, folder, paths)
    raise InputError(
        f"no subject found in {source}; known are the layouts of BraTS (NAME/NAME_t1.nii.gz, …), BIDS, DICOM and of "
        "folders of photographs; for any other give a plan file (--plan)"
    )


def _with_unclaimed(cohort: Cohort, folder: Path, paths: Iterable[Path]) -> Cohort:
    claimed = {
        file for subject in cohort.subjects for source in subject.files.values() for file in source_files(source)
    }
    kinds = photo_folders.SUFFIXES if cohort.content.photographs else _VOLUMES
    images = (path for path in paths if path.name.lower().endswith(kinds))
    return replace(cohort, unclaimed=tuple(path for path in images if folder / path not in claimed))
