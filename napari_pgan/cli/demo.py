"""`napari-pgan-train demo`: the whole way, small."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_pgan.errors import InputError
from napari_pgan.progress import emit, progress, say

_SUBJECTS, _SEED, _SIZE = 32, 1, 64
_OWN = {"cohort", "store.zarr", "run32", "run64", "sheet.png", "nifti"}
_SHEET, _FILES = range(24), range(8)


def demo(
    out: Annotated[Path, typer.Option(help="Where all of it goes; what is there of it is kept.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.", min=0.1)] = 5.0,
    size: Annotated[int, typer.Option(help="Pixels of a generated image: 32 or 64.")] = 32,
    json: Annotated[bool, typer.Option("--json", help="Print where the results are, for machines.")] = False,
) -> int:
    """Make a phantom cohort, prepare it, train a small model on it and sample from that.

    The same command again goes on where it was stopped.

    Example: `napari-pgan-train demo --out demo --minutes 5`
    """
    if size not in (32, 64):
        raise InputError(f"--size {size}: the demo makes images of 32 or 64 pixels")
    if out.exists() and (not out.is_dir() or any(entry.name not in _OWN for entry in out.iterdir())):
        raise InputError(f"{out}: is there already and is no demo; give another --out")
    from napari_pgan.cli.fit import fit
    from napari_pgan.cli.prepare import prepare
    from napari_pgan.cli.sample import sample
    from napari_pgan.imaging.preparation.workers import available_cores
    from napari_pgan.phantom import write_cohort
    from napari_pgan.training.run_folder import Run

    cohort, store, run = out / "cohort", out / "store.zarr", out / f"run{size}"
    say(f"1/4  {_SUBJECTS} phantom subjects: brains with a glioma, nobody's images")
    with progress("phantom", _SUBJECTS, "subjects") as update:
        write_cohort(cohort, _SUBJECTS, _SEED, _SIZE, workers=available_cores(), progress=update)
    say("2/4  the cohort as a store")
    prepare(cohort, str(store), size=_SIZE)
    say(f"3/4  training for about {minutes:g} minutes")
    code = fit(str(store), recipe="demo", out=run, size=size, minutes=minutes)
    if Run(run).read_status().get("state") != "finished":
        return code  # it was asked to stop, and has said how to go on
    say("4/4  samples")
    model = run / "model.safetensors"
    sample(str(model), out=out / "sheet.png", seeds=f"{_SHEET[0]}-{_SHEET[-1]}")
    sample(str(model), out=out / "nifti", seeds=f"{_FILES[0]}-{_FILES[-1]}")
    if json:
        emit({"model": str(model), "sheet": str(out / "sheet.png"), "nifti": str(out / "nifti")})
    say(f"model:   {model}")
    say(f"sheet:   {out / 'sheet.png'}")
    say(f"NIfTI:   {out / 'nifti'}")
    say(f"open it: napari {model}")
    return 0
