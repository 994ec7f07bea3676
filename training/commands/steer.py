"""`napari-pgan-train steer`: a segmentation → anatomies of a model that have it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pgan.errors import InputError

if TYPE_CHECKING:
    from napari_pgan.latent.steering import Bank, Found, Numbers, Wish
    from napari_pgan.model import Card, Model

PATTERNS = ("*.nii.gz", "*.nii", "*.nrrd", "*.mha", "*.png", "*.tif", "*.tiff", "*.gif")


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
    device: Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print what was asked and found, for machines.")] = False,
) -> None:
    """Find latents whose own segmentation is the one that is asked for.

    Candidates are written best first, with images, segmentation, latents, and a report of what was asked and found. Of
    a folder, a mask that cannot be used is named and the others go on.

    Example: `napari-pgan-train steer default mask.nii.gz --out steered`
    """
    if (mask is None) == (not ask):
        raise InputError("give a mask or a folder of masks, or --ask in place of it")
    from napari_pgan.latent.steering import Numbers, kept_bank
    from napari_pgan.latent.steering.bank import COUNT
    from napari_pgan.model import load_model
    from napari_pgan.training.commands.sample import conditions_of
    from napari_pgan.training.console import emit, progress, say
    from napari_pgan.training.device import choose_device

    loaded = load_model(model, choose_device(device))
    if not loaded.card.channels.labels:
        raise InputError(f"{model} makes no segmentation, so nothing can be asked of it; give a model with labels")
    settings = {"candidates": candidates, "seconds": seconds, "refine": refine, "slice": position}
    conditions = conditions_of(condition or [], loaded.card)
    goals: list[tuple[str, Path, Path | Numbers]]
    if mask is None:
        goals = [("numbers", out, numbers_of(ask or [], loaded.card))]
    elif mask.is_dir():
        files = sorted({file for pattern in PATTERNS for file in mask.glob(pattern)})
        if not files:
            raise InputError(f"{mask}: holds no segmentation; give a file of {', '.join(PATTERNS)}")
        goals = [(file.name, out / _stem(file), file) for file in files]
    else:
        goals = [(mask.name, out, mask)]
    bank, reports = None, []
    for name, folder, goal in goals:
        try:
            wish = goal if not isinstance(goal, Path) else _read(goal, loaded, position)
            if bank is None:
                with progress("getting to know the model", COUNT, "latents") as update:
                    bank = kept_bank(loaded, progress=lambda done, _: update(done, ""))
            report = _one(loaded, wish, bank, folder, settings, conditions)
        except InputError as error:
            if len(goals) == 1:
                raise
            say(f"{name}: {error}")
            report = {"problem": str(error)}
        else:
            best = report["candidates"][0]
            for sentence in (*report["told"], *([] if isinstance(wish, Numbers) else _warned(bank, wish))):
                say(sentence)
            say(f"{name}: best of {len(report['candidates'])} candidates {best['score']:.2f}; they are in {folder}")
        reports.append({"name": name, "out": str(folder), **report})
    if json:
        emit(reports[0] if len(goals) == 1 else reports)
    if all("problem" in report for report in reports):
        raise InputError(f"none of the {len(goals)} masks could be used, for the reasons above")


def _one(
    model: Model, goal: Wish | Numbers, bank: Bank, out: Path, settings: dict[str, Any], conditions: dict[str, Any]
) -> dict[str, Any]:
    """Search, write, and give the report."""
    from napari_pgan.latent.steering import refine, steer
    from napari_pgan.samples import Search, found_report, write_found
    from napari_pgan.training.console import progress

    search = Search(model, goal, settings, conditions)
    if (done := found_report(search, out)) is not None:
        return done
    seconds, strength = settings["seconds"], settings["refine"]
    found: Found | None = None
    with progress("searching", 100, "%") as update:
        first = seconds / 2 if strength else seconds
        for found in steer(model, goal, bank, candidates=settings["candidates"], seconds=first, conditions=conditions):
            update(min(99, int(100 * found.seconds / seconds)), f"best {found.scores[0]:.2f}")
        assert found is not None
        if strength:
            start = found
            for found in refine(model, goal, start, strength=strength, seconds=seconds / 2, conditions=conditions):
                update(min(99, int(50 + 100 * found.seconds / seconds)), f"best {found.scores[0]:.2f}")
        update(100, "")
    write_found(search, found, out)
    return search.report(found)


def _warned(bank: Bank, wish: Wish) -> list[str]:
    """Said of a drawing that is tried all the same."""
    share = bank.outside(wish)
    if share <= 0.5:
        return []
    return [f"{100 * share:.0f} % of the drawing lies outside of every head that the model makes."]


def _read(path: Path, model: Model, position: int | None) -> Wish:
    from dataclasses import replace

    from napari_pgan.imaging.drawing import read_drawing
    from napari_pgan.latent.steering import Wish

    card = model.card
    drawing = read_drawing(path, card.grid, position)
    wish = Wish.of(drawing.labels, card.channels, card.grid, drawing.affine)
    return replace(wish, told=(*drawing.told, *wish.told))


def numbers_of(texts: list[str], card: Card) -> Numbers:
    """What ``--ask name=value`` asks for."""
    from napari_pgan.latent.steering import Numbers

    values = {label.name: label.value for label in card.channels.labels}
    areas: dict[int, float] = {}
    shares: dict[int, float] = {}
    whole: dict[str, Any] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise InputError(f"--ask {text!r} is not written as name=value")
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
    return Numbers(card.channels, card.grid, areas, shares=shares, **whole)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]
