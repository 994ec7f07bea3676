"""The command `napari-pgan-train demo`: all steps, on a small phantom cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_pgan.errors import InputError
from napari_pgan.progress import emit, progress, say

_SUBJECTS, _SEED, _SIZE = 32, 1, 64
_OWN = {"cohort", "store.zarr", "run32", "run64", "sheet.png", "nifti"}  # names in the output folder
_SHEET_SEEDS, _NIFTI_SEEDS = "0-23", "0-7"


def demo(
    out: Annotated[Path, typer.Option(help="The output folder. Existing results in it are reused.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.", min=0.1)] = 5.0,
    size: Annotated[int, typer.Option(help="Size of a generated image in pixels: 32 or 64.")] = 32,
    json: Annotated[bool, typer.Option("--json", help="Print the paths of the results as JSON.")] = False,
) -> int:
    """Make a phantom cohort, prepare it, train a small model and sample from it.

    Repeat the command to continue after a stop.

    Example: `napari-pgan-train demo --out demo --minutes 5`
    """
    if size not in (32, 64):
        raise InputError(f"--size {size}: give 32 or 64")
    if out.exists() and (not out.is_dir() or any(entry.name not in _OWN for entry in out.iterdir())):
        raise InputError(f"{out}: exists and is not a demo folder; give another --out")
    from napari_pgan.cli.fit import fit
    from napari_pgan.cli.prepare import prepare
    from napari_pgan.cli.sample import sample
    from napari_pgan.imaging.preparation.workers import available_cores
    from napari_pgan.phantom import write_cohort
    from napari_pgan.training.run_folder import Run

    cohort, store, run = out / "cohort", out / "store.zarr", out / f"run{size}"
    model, sheet, nifti = run / "model.safetensors", out / "sheet.png", out / "nifti"
    say(f"1/4  {_SUBJECTS} phantom subjects: simulated brains with a glioma")
    with progress("phantom", _SUBJECTS, "subjects") as update:
        write_cohort(cohort, _SUBJECTS, _SEED, _SIZE, workers=available_cores(), progress=update)
    say("2/4  prepare the cohort")
    prepare(cohort, str(store), size=_SIZE)
    say(f"3/4  train for about {minutes:g} minutes")
    code = fit(str(store), recipe="demo", out=run, size=size, minutes=minutes)
    if Run(run).read_status().get("state") != "finished":
        return code  # it was stopped, and `fit` has said how to continue
    say("4/4  sample")
    sample(str(model), out=sheet, seeds=_SHEET_SEEDS)
    sample(str(model), out=nifti, seeds=_NIFTI_SEEDS)
    if json:
        emit({"model": str(model), "sheet": str(sheet), "nifti": str(nifti)})
    say(f"model:   {model}")
    say(f"sheet:   {sheet}")
    say(f"NIfTI:   {nifti}")
    say(f"open it: napari {model}")
    return 0
