"""Time and error of registration: a displaced volume of 240 × 240 × 155, and an aligned subject.

    python benchmarks/registration.py FOLDER [--threads 2] [--motions 4]

FOLDER is a BraTS subject, ``NAME/NAME_{t1,t1ce,t2,flair,seg}.nii.gz``. Random rigid motions of up to 20 mm and 20
degrees per axis displace its T2, which is then registered to its T1. Times exclude reading files.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from napari_pgan.imaging.io.itk import limit_threads
from napari_pgan.imaging.io.volume import Volume, read_volume
from napari_pgan.imaging.normalise.intensity import find_foreground
from napari_pgan.imaging.registration.align import align
from napari_pgan.imaging.registration.register import Pyramid, distance, register
from napari_pgan.imaging.registration.resampling import resample_image

PARTS = ("t1", "t1ce", "t2", "flair")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--motions", type=int, default=4)
    options = parser.parse_args()
    name = options.folder.name
    volumes = {part: read_volume(options.folder / f"{name}_{part}.nii.gz") for part in (*PARTS, "seg")}
    heads = {part: find_foreground(volumes[part].array) for part in PARTS}
    began = time.perf_counter(), time.process_time()
    with limit_threads(options.threads):
        align(volumes, heads, "t1")
    print(
        f"aligned subject: {time.perf_counter() - began[0]:.1f} s wall-clock time, "
        f"{time.process_time() - began[1]:.1f} s processor time"
    )
    for truth, moved in motions(volumes["t1"], volumes["t2"], options.motions):
        began = time.perf_counter(), time.process_time()
        reference = Pyramid(volumes["t1"])
        with limit_threads(options.threads):
            found = register(reference, Pyramid(moved))
        seconds = time.perf_counter() - began[0], time.process_time() - began[1]
        start, error = (distance(pose, truth, reference.points) for pose in (np.eye(4), found.matrix))
        print(f"from {start:.1f} mm to {error:.2f} mm: {seconds[0]:.1f} s, {seconds[1]:.1f} s processor time")


def motions(reference: Volume, moving: Volume, number: int) -> Iterator[tuple[np.ndarray, Volume]]:
    """Random motions (4×4 from reference points to moved points, RAS millimetres), and the moved volumes."""
    random, centre = np.random.default_rng(0), Pyramid(reference).centre
    for _ in range(number):
        truth, to, back = np.eye(4), np.eye(4), np.eye(4)
        truth[:3, :3] = Rotation.from_euler("xyz", random.uniform(-20, 20, 3), degrees=True).as_matrix()
        to[:3, 3], back[:3, 3] = centre + random.uniform(-20, 20, 3), -centre
        truth = to @ truth @ back
        yield truth, resample_image(moving, np.linalg.inv(truth), moving.array.shape, moving.affine)


if __name__ == "__main__":
    main()
