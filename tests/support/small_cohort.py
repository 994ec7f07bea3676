"""Small subjects in the layout of BraTS, with a head, a lesion and known values."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (44, 50, 18)  # x, y, z
SPACING = (4.0, 4.0, 6.0)
AFFINE = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])  # LPS, as BraTS has it
PARTS = ("t1", "t1ce", "t2", "flair")


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Return modalities (int16) and segmentation (uint8), (x, y, z): an ellipsoid of about 140 x 168 x 84 mm."""
    random = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij")
    head = (x / 17.5) ** 2 + (y / 21) ** 2 + (z / 7) ** 2 <= 1
    distance = np.sqrt((x - 6) ** 2 + (y + 5) ** 2 + (1.5 * z) ** 2)
    segmentation = np.zeros(SHAPE, np.uint8)
    segmentation[distance < 6] = 2
    segmentation[distance < 4] = 4
    segmentation[distance < 2] = 1
    images: dict[str, np.ndarray] = {}
    for i, part in enumerate(PARTS):
        image = 300 + 100 * i + random.normal(0, 20, SHAPE)
        image[segmentation == 2] += 300 if part == "flair" else 0
        image[segmentation == 4] += 500 if part == "t1ce" else 0
        images[part] = np.where(head, image, 0).astype(np.int16)
    return {**images, "seg": segmentation}


def write(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    """Write a NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def write_subject(folder: Path, name: str, seed: int = 0, **changed: np.ndarray | None) -> Path:
    """Write ``NAME/NAME_part.nii.gz``; `changed` replaces a part, or omits it if None."""
    for part, array in {**arrays(seed), **changed}.items():
        if array is not None:
            write(folder / name / f"{name}_{part}.nii.gz", array)
    return folder / name


def write_cohort(folder: Path, subjects: int) -> Path:
    """Write subjects ``Brats18_CBICA_P000_1`` and so on."""
    for i in range(subjects):
        write_subject(folder, f"Brats18_CBICA_P{i:03d}_1", i)
    return folder
