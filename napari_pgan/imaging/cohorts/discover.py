"""Find the subjects of a cohort on disk in any known layout."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from napari_pgan.errors import InputError
from napari_pgan.imaging.cohorts import bids, brats, dicom_tree, photo_folders
from napari_pgan.imaging.cohorts.cohort import Cohort, source_files, walk_files
from napari_pgan.imaging.cohorts.plan import CohortPlan
from napari_pgan.imaging.io.metaimage import SUFFIXES

_VOLUMES = (".nii", ".nii.gz", ".dcm", *SUFFIXES)


def find_cohort(source: str | os.PathLike[str], plan: CohortPlan | None = None) -> Cohort:
    """Find all subjects below a folder, sorted by name, including those that cannot be used.

    Without a plan, the layout is the first that fits of BIDS, BraTS (2012 to 2023), folders of photographs and masks,
    and DICOM.

    Raises
    ------
    InputError
        The folder does not exist, or none of its files fits a layout or the plan.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{source} is not a folder; give the folder that contains the subjects")
    paths = [path.relative_to(folder) for path in walk_files(folder)]
    if plan is not None:
        cohort: Cohort | None = plan.find(folder, paths)
    else:
        candidates = (layout.find(folder, paths) for layout in (bids, brats, photo_folders, dicom_tree))
        cohort = next((cohort for cohort in candidates if cohort is not None), None)
    if cohort is None:
        raise InputError(
            f"no subject found in {source}; known layouts are BraTS (NAME/NAME_t1.nii.gz, …), BIDS, DICOM and folders "
            "of photographs; for any other layout give a plan file (--plan)"
        )
    if not cohort.subjects:
        raise InputError(
            f"none of the {len(paths)} files in {source} matches a pattern of the plan; compare their paths"
        )
    sources = (part for subject in cohort.subjects for part in subject.files.values())
    used = {file for part in sources for file in source_files(part)}
    suffixes = photo_folders.SUFFIXES if cohort.content.photographs else _VOLUMES
    images = (path for path in paths if path.name.lower().endswith(suffixes))
    return replace(cohort, unused=tuple(path for path in images if folder / path not in used))
