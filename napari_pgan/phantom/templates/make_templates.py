"""Make the 2 mm maps of this folder from the 1 mm ones in nilearn's wheel.

pip download --no-deps nilearn==0.14.1
python napari_pgan/phantom/templates/make_templates.py nilearn-0.14.1-py3-none-any.whl
"""

from __future__ import annotations

import gzip
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

STEP = 2.0  # mm
MARGIN = 6  # mm around the brain
NAMES = {"t1": "t1", "gm": "grey", "wm": "white"}


def main(wheel: str) -> None:
    """Write icbm152_{t1,grey,white}_2mm.nii.gz to this folder, with axes towards left, posterior and superior."""
    maps = {}
    with zipfile.ZipFile(wheel) as archive:
        for short, name in NAMES.items():
            inside = f"nilearn/datasets/data/mni_icbm152_{short}_tal_nlin_sym_09a_converted.nii.gz"
            image = nib.Nifti1Image.from_bytes(gzip.decompress(archive.read(inside)))
            if nib.aff2axcodes(image.affine) != ("R", "A", "S"):
                raise SystemExit(f"{inside} is not in RAS order, which this script requires")
            maps[name] = (np.asarray(image.dataobj, np.float32)[::-1, ::-1], image.affine)

    brain = maps["t1"][0] > 0
    first = [int(np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {a})))[0]) - MARGIN for a in range(3)]
    last = [int(np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {a})))[-1]) + MARGIN for a in range(3)]
    first = [max(f, 0) for f in first]
    # A symmetric range centres the midline of the brain on the first axis.
    lateral = min(first[0], brain.shape[0] - 1 - last[0])
    first[0], last[0] = lateral, brain.shape[0] - 1 - lateral
    count = [int((b - a) // STEP) + 1 for a, b in zip(first, last, strict=True)]
    first[0] = (brain.shape[0] - 1 - (count[0] - 1) * STEP) / 2
    positions = np.meshgrid(*(f + STEP * np.arange(n) for f, n in zip(first, count, strict=True)), indexing="ij")

    for name, (data, affine) in maps.items():
        smooth = ndimage.gaussian_filter(data, 0.6)  # against aliasing on the 2 mm grid
        resampled = np.clip(np.rint(ndimage.map_coordinates(smooth, positions, order=3, mode="nearest")), 0, 255)
        # The data are flipped along x and y, so index i is at the far end minus i.
        far = affine @ np.array([data.shape[0] - 1, data.shape[1] - 1, 0, 1.0])
        new = np.diag([-STEP, -STEP, STEP, 1.0])
        new[:3, 3] = far[:3] + np.array([-1, -1, 1]) * np.array(first)
        image = nib.Nifti1Image(resampled.astype(np.uint8), new)
        image.header.set_xyzt_units("mm")
        path = Path(__file__).with_name(f"icbm152_{name}_2mm.nii.gz")
        path.write_bytes(gzip.compress(image.to_bytes(), 9, mtime=0))
        print(path.name, resampled.shape, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1])
