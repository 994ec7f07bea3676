"""`napari-pgan-train steer`: a segmentation → anatomies of a model that have it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pgan.cli.options import Device, require_finite
from napari_pgan.errors import InputError, Stopped

if TYPE_CHECKING:
    from napari_pgan.latent.steering import Bank, Candidates, TargetAreas, TargetMask
    from napari_pgan.model import Card, Model
    from napari_pgan.samples import SteeringSearch

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif", ".tiff", ".gif", ".bmp")


def steer(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a shipped model.")],
    out: Annotated[Path, typer.Option(help="The folder to write; for a folder of masks, one in it for each.")],
    mask: Annotated[
        Path | None, typer.Argument(help="A segmentation (NIfTI, NRRD, MHA, PNG, …), or a folder of them.")
    ] = None,
    ask: Annotated[
        list[str] | None,
        typer.Option(
            help="In place of a mask, repeatable: LABEL=AREA or lesion=AREA in mm², 'LABEL share'=0.3, side=left."
        ),
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, max=64, help="How many are sought.")] = 6,
    seconds: Annotated[float, typer.Option(min=0, help="Time for each mask, after the first's preparation.")] = 10.0,
    refine: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Strength of offsets beyond the latent, in the second half of the time; 0 for none. 0.3 is much.",
        ),
    ] = 0.0,
    position: Annotated[
        int | None,
        typer.Option("--slice", min=0, help="Slice of a volume, from 0; by default the one with the largest lesion."),
    ] = None,
    condition: Annotated[list[str] | None, typer.Option(help="name=value; repeatable.")] = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print what was asked and found, for machines.")] = False,
) -> None:
    """Find latents whose own segmentation is the one that is asked for.

    Candidates are written best first, with images, segmentation, latents, and a report of what was asked and found. Of
    a folder, a mask that cannot be used is named and the others go on.

    Example: `napari-pgan-train steer default mask.nii.gz --out steered`
    """
    if (mask is None) == (not ask):
        raise InputError("give a mask or a folder of masks, or --ask in place of it")
    require_finite(seconds=seconds, refine=refine)
    from napari_pgan.cli.sample import parse_conditions
    from napari_pgan.latent.steering import TargetMask, cached_bank
    from napari_pgan.latent.steering.bank import COUNT
    from napari_pgan.model import load_model
    from napari_pgan.progress import emit, progress, say
    from napari_pgan.samples import SteeringSearch
    from napari_pgan.training.device import choose_device

    loaded = load_model(model, choose_device(device))
    if not loaded.card.channels.labels:
        raise InputError(f"{model} makes no segmentation, so nothing can be asked of it; give a model with labels")
    settings = {"candidates": candidates, "seconds": seconds, "refine": refine, "slice": position}
    conditions = parse_conditions(condition or [], loaded.card)
    goals: list[tuple[str, Path, Path | TargetAreas]]
    if mask is None:
        goals = [("numbers", out, parse_areas(ask or [], loaded.card))]
    elif mask.is_dir():
        files = sorted(file for file in mask.iterdir() if file.name.lower().endswith(SUFFIXES))
        if not files:
            raise InputError(f"{mask}: holds no segmentation; give files of {', '.join(SUFFIXES)}")
        stems = [_stem(file) for file in files]
        goals = [
            (file.name, out / (stem if stems.count(stem) == 1 else file.name), file)
            for file, stem in zip(files, stems, strict=True)
        ]
    else:
        goals = [(mask.name, out, mask)]
    several = mask is not None and mask.is_dir()
    bank, reports = None, []
    for name, folder, target in goals:
        try:
            goal, source = (target, {}) if not isinstance(target, Path) else _read(target, loaded, position)
            if bank is None:
                with progress("getting to know the model", COUNT, "latents") as update:
                    bank = cached_bank(loaded, progress=lambda done, _: update(done, ""))
            if isinstance(goal, TargetMask):
                goal = replace(goal, messages=(*goal.messages, *bank.warnings(goal)))
            report = _one(SteeringSearch(loaded, goal, settings, conditions, source=source), bank, folder)
        except InputError as error:
            if not several:
                raise
            say(f"{name}: {error}")
            report = {"problem": str(error)}
        else:
            best = report["candidates"][0]
            for sentence in report["told"]:
                say(sentence)
            say(f"{name}: best of {len(report['candidates'])} candidates {best['score']:.2f}; they are in {folder}")
        reports.append({"name": name, "out": str(folder), **report})
    if json:
        emit(reports if several else reports[0])
    used = sum("problem" not in report for report in reports)
    if not used:
        raise InputError(f"none of the {len(goals)} masks could be used, for the reasons above")
    if several:
        others = "" if used == len(goals) else "; the others could not be used, for the reasons above"
        say(f"{used} of {len(goals)} masks were used, and what was found is in {out}{others}")


def _one(search: SteeringSearch, bank: Bank, out: Path) -> dict[str, Any]:
    """Search, write, and give the report."""
    from napari_pgan.latent.steering import refine, steer
    from napari_pgan.progress import progress
    from napari_pgan.samples import claim_folder, finished_report, write_candidates

    if (done := finished_report(search, out)) is not None:
        return done
    seconds, strength = search.settings["seconds"], search.settings["refine"]
    found: Candidates | None = None
    claim_folder(search, out)
    try:
        with progress("searching", 100, "%") as update:

            def tell(best: Candidates) -> Candidates:
                update(min(99, int(100 * best.seconds / max(seconds, 1e-9))), f"best {best.scores[0]:.2f}")
                return best

            first = seconds / 2 if strength else seconds
            what: tuple[Any, Any] = search.model, search.target
            how: dict[str, Any] = {"conditions": search.conditions}
            for best in steer(*what, bank, candidates=search.settings["candidates"], seconds=first, **how):
                found = tell(best)
            if strength and found is not None:
                left = max(0.0, min(seconds / 2, seconds - found.seconds))
                for best in refine(*what, found, strength=strength, seconds=left, **how):
                    found = tell(best)
            update(100, "")
    except KeyboardInterrupt:  # the best so far is written, and the same command searches again
        if found is None:
            raise Stopped("Stopped before anything was found; the same command begins again.", 130) from None
        write_candidates(search, found, out, stopped=True)
        raise Stopped(f"Stopped. The best so far is in {out}; the same command searches again.", 130) from None
    assert found is not None
    write_candidates(search, found, out)
    return search.report(found)


def _read(path: Path, model: Model, position: int | None) -> tuple[TargetMask, dict[str, Any]]:
    """What a file asks for, and which file it was: by its content, since its name may be a patient's."""
    from napari_pgan.imaging.preprocessing.drawing import read_drawing
    from napari_pgan.latent.steering import TargetMask

    card = model.card
    drawing = read_drawing(path, card.grid, position)
    goal = TargetMask.of(drawing.labels, card.channels, card.grid, drawing.affine)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return replace(goal, messages=(*drawing.messages, *goal.messages)), {"sha256": digest, "slice": drawing.position}


def parse_areas(texts: list[str], card: Card) -> TargetAreas:
    """What ``--ask name=value`` asks for."""
    from napari_pgan.latent.steering import TargetAreas

    values = {label.name: label.value for label in card.channels.labels}
    areas: dict[int, float] = {}
    shares: dict[int, float] = {}
    whole: dict[str, Any] = {}
    asked: set[str] = set()
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--ask {text!r} is not written as name=value")
        if name in asked:
            raise InputError(f"--ask {name} is given twice; give it once")
        asked.add(name)
        if name == "side":
            whole["side"] = value
            continue
        try:
            number = float(value)
        except ValueError:
            raise InputError(f"--ask {name} is {value!r}; it is a number") from None
        if name == "lesion":
            whole["lesion"] = number
        elif name in values:
            areas[values[name]] = number
        elif name.endswith(" share") and name.removesuffix(" share") in values:
            shares[values[name.removesuffix(" share")]] = number
        else:
            known = ", ".join(["lesion", "side", *values, *(f"{label} share" for label in values)])
            raise InputError(f"--ask {name!r} is unknown; there are {known}")
    return TargetAreas(card.channels, card.grid, areas, shares=shares, **whole)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]
