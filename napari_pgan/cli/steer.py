"""`napari-pgan-train steer`: find samples whose segmentation matches a target."""

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
    out: Annotated[Path, typer.Option(help="Output folder; with several masks, one subfolder for each.")],
    mask: Annotated[
        Path | None, typer.Argument(help="A segmentation (NIfTI, NRRD, MHA, PNG, …), or a folder of them.")
    ] = None,
    ask: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of a mask, repeatable: LABEL=AREA or lesion=AREA in mm², 'LABEL share'=0.3, side=left."
        ),
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, max=64, help="Number of candidates.")] = 6,
    seconds: Annotated[float, typer.Option(min=0, help="Search time per mask, after preparing the model.")] = 10.0,
    refine: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Strength of feature offsets in the second half of the time; 0 for none, 0.3 is strong.",
        ),
    ] = 0.0,
    position: Annotated[
        int | None,
        typer.Option("--slice", min=0, help="Slice of a volume, from 0; default the one with the largest lesion."),
    ] = None,
    condition: Annotated[list[str] | None, typer.Option(help="name=value; repeatable.")] = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Find samples whose segmentation matches a mask or target areas.

    Candidates are written best first, with images, segmentation, latents and a report. In a folder of masks, one that
    cannot be used is reported and the others continue.

    Example: `napari-pgan-train steer default mask.nii.gz --out steered`
    """
    if (mask is None) == (not ask):
        raise InputError("give either a mask, a folder of masks, or --ask")
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
        raise InputError(f"{model} has no segmentation, so it cannot be steered; give a model with labels")
    settings = {"candidates": candidates, "seconds": seconds, "refine": refine, "slice": position}
    conditions = parse_conditions(condition or [], loaded.card)
    inputs: list[tuple[str, Path, Path | TargetAreas]]
    if mask is None:
        inputs = [("numbers", out, parse_areas(ask or [], loaded.card))]
    elif mask.is_dir():
        files = sorted(file for file in mask.iterdir() if file.name.lower().endswith(SUFFIXES))
        if not files:
            raise InputError(f"{mask}: contains no segmentation; give files of {', '.join(SUFFIXES)}")
        stems = [_stem(file) for file in files]
        inputs = [
            (file.name, out / (stem if stems.count(stem) == 1 else file.name), file)
            for file, stem in zip(files, stems, strict=True)
        ]
    else:
        inputs = [(mask.name, out, mask)]
    several = mask is not None and mask.is_dir()
    bank, reports = None, []
    for name, folder, given in inputs:
        try:
            target, source = (given, {}) if not isinstance(given, Path) else _read_target(given, loaded, position)
            if bank is None:
                with progress("preparing the model", COUNT, "latents") as update:
                    bank = cached_bank(loaded, progress=lambda done, _: update(done))
            if isinstance(target, TargetMask):
                target = replace(target, messages=(*target.messages, *bank.warnings(target)))
            report = _search(SteeringSearch(loaded, target, settings, conditions, source=source), bank, folder)
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
        raise InputError(f"none of the {len(inputs)} masks could be used, for the reasons above")
    if several:
        others = "" if used == len(inputs) else "; the others could not be used, for the reasons above"
        say(f"{used} of {len(inputs)} masks were used, and their candidates are in {out}{others}")


def _search(search: SteeringSearch, bank: Bank, out: Path) -> dict[str, Any]:
    """Search, write the candidates, and return the report."""
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

            def show(best: Candidates) -> Candidates:
                update(min(99, int(100 * best.seconds / max(seconds, 1e-9))), f"best {best.scores[0]:.2f}")
                return best

            model, target, conditions = search.model, search.target, search.conditions
            count, first = search.settings["candidates"], seconds / 2 if strength else seconds
            for best in steer(model, target, bank, candidates=count, seconds=first, conditions=conditions):
                found = show(best)
            if strength and found is not None:
                left = max(0.0, min(seconds / 2, seconds - found.seconds))
                for best in refine(model, target, found, strength=strength, seconds=left, conditions=conditions):
                    found = show(best)
            update(100)
    except KeyboardInterrupt:
        if found is None:
            raise Stopped("Stopped before there was a candidate; the same command starts again.", 130) from None
        write_candidates(search, found, out, stopped=True)
        raise Stopped(f"Stopped. The best candidates are in {out}; the same command searches again.", 130) from None
    assert found is not None
    write_candidates(search, found, out)
    return search.report(found)


def _read_target(path: Path, model: Model, position: int | None) -> tuple[TargetMask, dict[str, Any]]:
    """Return the target of a mask file, and the file's hash and slice (its name may be a patient's)."""
    from napari_pgan.imaging.preprocessing.drawing import read_drawing
    from napari_pgan.latent.steering import TargetMask

    card = model.card
    drawing = read_drawing(path, card.grid, position)
    target = TargetMask.of(drawing.labels, card.channels, card.grid, drawing.affine)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    messages = (*drawing.messages, *target.messages)
    return replace(target, messages=messages), {"sha256": digest, "slice": drawing.position}


def parse_areas(texts: list[str], card: Card) -> TargetAreas:
    """Parse ``--ask name=value`` options."""
    from napari_pgan.latent.steering import TargetAreas

    values = {label.name: label.value for label in card.channels.labels}
    areas: dict[int, float] = {}
    shares: dict[int, float] = {}
    whole: dict[str, Any] = {}
    names: set[str] = set()
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--ask {text!r} is not of the form name=value")
        if name in names:
            raise InputError(f"--ask {name} is given twice; give it once")
        names.add(name)
        if name == "side":
            whole["side"] = value
            continue
        try:
            number = float(value)
        except ValueError:
            raise InputError(f"--ask {name} is {value!r}; give a number") from None
        if name == "lesion":
            whole["lesion"] = number
        elif name in values:
            areas[values[name]] = number
        elif name.endswith(" share") and name.removesuffix(" share") in values:
            shares[values[name.removesuffix(" share")]] = number
        else:
            known = ", ".join(["lesion", "side", *values, *(f"{label} share" for label in values)])
            raise InputError(f"--ask {name!r} is unknown; choose one of {known}")
    return TargetAreas(card.channels, card.grid, areas, shares=shares, **whole)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]
