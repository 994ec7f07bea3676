"""Rigid registration compared with itk-elastix and ANTs on the same pairs: time and error, on one core.

    python -m venv peers && peers/bin/pip install itk-elastix antspyx
    PYTHONPATH=. peers/bin/python benchmarks/peer_registration.py FOLDER [--motions 4]

FOLDER is a BraTS subject, as for `registration.py`; its displaced T2 is registered to its T1. Packages that are not
installed are skipped. They run with their default parameters for a rigid transform. Times are processor times, which
other processes hardly affect, without reading files and converting arrays.
"""

from __future__ import annotations

import os

os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # before any ITK is loaded

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from registration import motions

from napari_pgan.imaging.io.itk import to_itk, to_matrix
from napari_pgan.imaging.io.volume import Volume, read_volume
from napari_pgan.imaging.registration.register import Pyramid, distance, register

Result = tuple[np.ndarray, float]  # 4×4 from fixed to moving points in RAS millimetres, and seconds


def ours(fixed: Volume, moving: Volume) -> Result:
    """The method of `prepare --register` for a pair that is not aligned."""
    began = time.process_time()
    found = register(Pyramid(fixed), Pyramid(moving))
    return found.matrix, time.process_time() - began


def elastix(fixed: Volume, moving: Volume) -> Result:
    """itk-elastix with its default parameters for a rigid transform."""
    import itk

    images = []
    for volume in (fixed, moving):
        placed = to_itk(volume.array.astype(np.float32), volume.affine)
        image = itk.image_from_array(volume.array.astype(np.float32))
        image.SetOrigin(placed.GetOrigin())
        image.SetSpacing(placed.GetSpacing())
        image.SetDirection(itk.matrix_from_array(np.array(placed.GetDirection()).reshape(3, 3)))
        images.append(image)
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(parameters.GetDefaultParameterMap("rigid"))
    began = time.process_time()
    _, result = itk.elastix_registration_method(*images, parameter_object=parameters, log_to_console=False)
    seconds = time.process_time() - began
    values = result.GetParameterMap(result.GetNumberOfParameterMaps() - 1)
    transform = sitk.Euler3DTransform()
    transform.SetCenter([float(x) for x in values["CenterOfRotationPoint"]])
    transform.SetParameters([float(x) for x in values["TransformParameters"]])
    return to_matrix(transform), seconds


def ants(fixed: Volume, moving: Volume) -> Result:
    """ANTs (antspyx) with its default parameters for a rigid transform."""
    import ants as library

    images = []
    for volume in (fixed, moving):
        placed = to_itk(volume.array.astype(np.float32), volume.affine)
        direction = np.array(placed.GetDirection()).reshape(3, 3)
        array = np.ascontiguousarray(volume.array.T, np.float32)
        images.append(
            library.from_numpy(array, origin=placed.GetOrigin(), spacing=placed.GetSpacing(), direction=direction)
        )
    began = time.process_time()
    result = library.registration(*images, type_of_transform="Rigid", random_seed=0)
    seconds = time.process_time() - began
    return to_matrix(sitk.ReadTransform(result["fwdtransforms"][0])), seconds


PACKAGES = {"napari-pgan": None, "itk-elastix": "itk", "ANTs": "ants"}
METHODS: dict[str, Callable[[Volume, Volume], Result]] = {"napari-pgan": ours, "itk-elastix": elastix, "ANTs": ants}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--motions", type=int, default=4)
    options = parser.parse_args()
    name = options.folder.name
    fixed, moving = (read_volume(options.folder / f"{name}_{part}.nii.gz") for part in ("t1", "t2"))
    points = Pyramid(fixed).points
    installed = {
        name: method for name, method in METHODS.items() if PACKAGES[name] is None or find_spec(PACKAGES[name])
    }
    distances: list[float] = []
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in installed}
    for truth, moved in motions(fixed, moving, options.motions):
        distances.append(distance(np.eye(4), truth, points))
        for name, method in installed.items():
            matrix, seconds = method(fixed, moved)
            results[name].append((distance(matrix, truth, points), seconds))
            print(
                f"{name}: from {distances[-1]:.1f} mm to {results[name][-1][0]:.2f} mm in {seconds:.1f} s", flush=True
            )
    print(f"\n{len(distances)} motions, {min(distances):.0f} to {max(distances):.0f} mm away\n")
    print("| rigid registration | error, median (mm) | error, largest (mm) | processor time, median (s) |")
    print("|---|---|---|---|")
    for name, pairs in results.items():
        errors, seconds = np.array(pairs).T
        print(f"| {name} | {np.median(errors):.2f} | {errors.max():.2f} | {np.median(seconds):.1f} |")


if __name__ == "__main__":
    main()
