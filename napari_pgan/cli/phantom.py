"""`napari-pgan-train phantom`: a cohort to try everything with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder for the cohort; made when missing.")],
    subjects: Annotated[int, typer.Option(help="How many subjects.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same cohort.")],
    size: Annotated[int, typer.Option(help="Voxels a side of the cube of 216 mm, 32 to 256.")] = 128,
    skull: Annotated[bool, typer.Option("--skull", help="Keep skull and scalp; else the background is 0.")] = False,
    workers: Annotated[int, typer.Option(help="Processes; 0 takes one a processor core.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print what was written, for machines.")] = False,
) -> None:
    """Write a phantom cohort: brains with a glioma, T1, T1ce, T2, FLAIR and segmentation, in BraTS's layout.

    The same command again writes only what is missing; more subjects may be asked for later.

    Example: `napari-pgan-train phantom cohort --subjects 24 --seed 1 --size 64`
    """
    from napari_pgan.phantom import write_cohort
    from napari_pgan.progress import emit, progress, say

    count = workers or os.cpu_count() or 1
    with progress("phantom", subjects, "subjects") as update:
        folders = write_cohort(out, subjects, seed, size, skull, count, update)
    if json:
        emit({"out": str(out), "subjects": [folder.name for folder in folders], "seed": seed, "size": size})
    spacing = 216 / size
    say(f"{len(folders)} subjects of {size}×{size}×{size} voxels of {spacing:.3g} mm with known truth are in {out}.")
    say(f"Next: napari-pgan-train prepare {out} store.zarr --size {size}")
