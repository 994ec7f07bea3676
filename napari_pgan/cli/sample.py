"""`napari-pgan-train sample`: generate images with a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_pgan.errors import InputError

if TYPE_CHECKING:
    from napari_pgan.model import Card


def sample(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a shipped model.")],
    out: Annotated[Path, typer.Option(help="A folder (NIfTI with sidecars), a .png (sheet) or an .npz (arrays).")],
    seeds: Annotated[str | None, typer.Option(help="Seeds, such as 0-63 or 3,8,20-25.")] = None,
    count: Annotated[
        int | None, typer.Option(help="Number of samples; seeds count up from --seed.", min=1, max=1_000_000)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed of --count.", min=0)] = None,
    plan: Annotated[Path | None, typer.Option(help="A walk plan (YAML): key frames and the path between them.")] = None,
    latents: Annotated[
        Path | None, typer.Option(help="An .npz with latents, as written by `encode`, `steer` and `sample`.")
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            help="Truncation: 1 is full variety, lower values make samples more alike; default 1, or as in --latents.",
        ),
    ] = None,
    condition: Annotated[list[str] | None, typer.Option(help="name=value; repeatable.")] = None,
    stage: Annotated[int | None, typer.Option(help="Stage of the generator; 0 gives the smallest images.")] = None,
    device: Annotated[
        str,
        typer.Option(help="cpu, cuda, mps or auto; cpu gives identical files whether or not the machine has a GPU."),
    ] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Generate images and their segmentations.

    The same command gives byte-identical files on the same machine. An --out that holds part of the same samples is
    completed; one that holds anything else is refused.

    Example: `napari-pgan-train sample run/model.safetensors --out samples --seeds 0-63`
    """
    if [seeds, count, plan, latents].count(None) != 3:
        raise InputError("give exactly one of --seeds 0-63, --count N --seed S, --plan FILE and --latents FILE")
    if (seed is None) != (count is None):
        raise InputError("--count and --seed need each other: --count 64 --seed 1 means seeds 1 to 64")
    if plan is not None and truncation is not None:
        raise InputError("the walk plan sets the truncation; omit --truncation")
    from napari_pgan.latent import format_seeds, parse_seeds, read_plan
    from napari_pgan.model import load_model
    from napari_pgan.progress import emit, progress, say
    from napari_pgan.samples import SampleSet, read_latents, write_samples
    from napari_pgan.training.device import choose_device

    loaded = load_model(model, choose_device(device))
    conditions = parse_conditions(condition or [], loaded.card)
    if plan is not None:
        walk = read_plan(plan, loaded.card.architecture.latent).walk()
        samples = SampleSet.of_walk(loaded, walk, conditions, stage)
    elif latents is not None:
        stored = read_latents(latents, loaded)
        cut = stored.truncation if truncation is None else None
        if cut is not None:
            each = f"{cut[0]:g}" if (cut == cut[0]).all() else f"{cut.min():g} to {cut.max():g}"
            say(f"They were generated with a truncation of {each}, which is used again; --truncation 1 removes it.")
        full = 1.0 if truncation is None else truncation
        merged = {**stored.conditions, **conditions}
        samples = SampleSet.of_latents(
            loaded, stored.latents, full if cut is None else cut, merged, stage, stored.offsets
        )
    else:
        chosen = parse_seeds(seeds) if seeds is not None else list(range(seed or 0, (seed or 0) + (count or 0)))
        samples = SampleSet.of_seeds(loaded, chosen, 1.0 if truncation is None else truncation, conditions, stage)
    refined = samples.refined
    if refined:
        say(
            f"{refined} of {len(samples)} are refined; their feature offsets are applied"
            + (f", scaled by the truncation of {truncation:g}." if truncation not in (None, 1) else ".")
        )
    with progress("sampling", len(samples), "samples") as update:
        files = write_samples(samples, out, lambda done: update(done, ""))
    if json:
        emit(
            {
                "out": str(out),
                "files": [str(path) for path in files],
                "samples": len(samples),
                "refined": refined,
                "seeds": format_seeds(chosen) if plan is None and latents is None else None,
                "model": loaded.card.name,
                "model_identity": loaded.identity,
                "fingerprint": samples.fingerprint,
                "limits": loaded.card.limits,
            }
        )
    say(f"{len(samples)} samples of {loaded.card.name} are in {out}. {loaded.card.limits}")


def parse_conditions(texts: list[str], card: Card) -> dict[str, str | float]:
    """Parse ``name=value`` conditions; numbers become float."""
    numbers = {c.name for c in card.conditions if not c.levels}
    values: dict[str, str | float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            raise InputError(f"--condition {text!r} is not of the form name=value")
        if name in values:
            raise InputError(f"--condition {name} is given twice; give it once")
        values[name] = value
        if name in numbers:
            try:
                values[name] = float(value)
            except ValueError:
                raise InputError(f"--condition {name} is {value!r}; give a number") from None
    return values
