"""`napari-pgan-train phantom`: write a synthetic cohort with known truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder for the cohort; created if missing.")],
    subjects: Annotated[int, typer.Option(help="Number of subjects.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same cohort.")],
    size: Annotated[int, typer.Option(help="Voxels along each side of the 216 mm cube, 32 to 256.")] = 128,
    skull: Annotated[
        bool, typer.Option("--skull", help="Keep skull and scalp; by default the background is 0.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Number of processes; 0 uses one per processor core.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the written subjects as JSON.")] = False,
) -> None:
    """Write a phantom cohort: brains with a glioma as T1, T1ce, T2, FLAIR and segmentation, in BraTS's layout.

    The same command run again writes only what is missing; --subjects can be increased later.

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
