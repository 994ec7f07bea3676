"""Thirty subjects with six different defects: 24 are prepared and six rejected with a reason."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from small_cohort import AFFINE, arrays, write, write_cohort

from napari_pgan.imaging.cohorts.cohort import duplicate_problem
from napari_pgan.imaging.preparation.prepare import Options, prepare


def test_the_other_subjects_are_prepared(tmp_path: Path) -> None:
    folder = write_cohort(tmp_path / "in", 30)
    names = sorted(path.name for path in folder.iterdir())[::5]

    def file(i: int, part: str) -> Path:
        return folder / names[i] / f"{names[i]}_{part}.nii.gz"

    file(0, "t1").write_bytes(file(0, "t1").read_bytes()[:-100])
    write(file(1, "t2"), np.stack([arrays()["t2"]] * 2, axis=-1))
    write(file(2, "flair"), np.full_like(arrays()["flair"], 7))
    shear = AFFINE.copy()
    shear[0, 1] = 1.0
    image = nib.Nifti1Image(arrays()["t1ce"], None)
    image.set_sform(shear, code=1)
    nib.save(image, file(3, "t1ce"))
    write(file(4, "seg"), np.zeros_like(arrays()["seg"]))
    (folder / names[5] / f"{names[5]}_t2.nii").write_bytes(b"")
    report = prepare(str(folder), tmp_path / "a.zarr", Options(size=16))
    assert (report.found, report.new, len(report.subjects)) == (30, 24, 24)
    assert [(a.name, a.reason) for a in report.rejected] == list(zip(names, (
        "t1 is truncated or damaged; fetch it again",
        "t2 is 44 x 50 x 18 x 2 with 4 axes; a volume has three",
        "flair is constant (7 everywhere); it contains no image",
        "t1ce has axes that are sheared by 14.0 degrees; resample it to a grid with right angles",
        "its segmentation is empty; nothing is marked in it",
        duplicate_problem(["t2"]),
    ), strict=True))  # fmt: skip
