"""`napari-pgan-train encode`: real images → latents."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_pgan.cli.options import Device, require_finite
from napari_pgan.errors import InputError, Stopped

if TYPE_CHECKING:
    import numpy as np

    from napari_pgan.cli.exam_source import Picture
    from napari_pgan.latent.encoder import Refined
    from napari_pgan.model import Model

_AT_ONCE = 8


def encode(
    model: Annotated[str, typer.Argument(help="A model file, or the name of a shipped model.")],
    images: Annotated[
        list[str],
        typer.Argument(
            help="A prepared store, a folder of exams, or modality=FILE for each modality [and seg=FILE, brain=FILE]."
        ),
    ],
    out: Annotated[Path, typer.Option(help="An .npz for latents, reconstructions and the report.")],
    slices: Annotated[
        str, typer.Option(help="Which, such as 60 or 60,64-70; auto: that with the largest lesion, or else head.")
    ] = "auto",
    subject: Annotated[
        list[str] | None, typer.Option(help="Key of a store's subject; repeatable. By default all held out.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="For each image, at most.", min=0, max=3600)] = 5.0,
    condition: Annotated[list[str] | None, typer.Option(help="name=value; repeatable.")] = None,
    register: Annotated[bool, typer.Option("--register", help="Register each exam's modalities first.")] = False,
    bias: Annotated[bool, typer.Option("--bias", help="Take out the coil's shading (N4) first.")] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="Keep the brain alone, by the exam's own mask if it has one.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option(help="A .png that shows each image above what the model makes of it.")
    ] = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report for machines.")] = False,
) -> None:
    """Find the latents whose images come nearest to real ones, and say how near that is.

    Images are scaled and brought to the model's grid as `prepare` does it. Where they come with a segmentation, it is
    to be met, too. `sample --latents FILE` makes images of what was found.

    Example: `napari-pgan-train encode default t1=t1.nii.gz t1ce=t1ce.nii.gz t2=t2.nii.gz flair=flair.nii.gz --out
    exam.npz`
    """
    from napari_pgan.cli.exam_source import Wanted, pictures
    from napari_pgan.cli.sample import parse_conditions
    from napari_pgan.latent.encoder import recorded_fidelity
    from napari_pgan.model import load_model
    from napari_pgan.progress import emit, say
    from napari_pgan.training.device import choose_device

    require_finite(seconds=seconds)
    _refuse(out, ".npz")
    if sheet is not None:
        _refuse(sheet, ".png")
    loaded = load_model(model, choose_device(device))
    conditions = parse_conditions(condition or [], loaded.card)
    wanted = Wanted(slices, tuple(subject or ()), register, bias, strip)
    exams = pictures(loaded.card, model, images, wanted, say)
    own = recorded_fidelity(loaded)  # before any is read
    found = list(exams)
    if not found:
        raise InputError("none of the exams could be used, for the reasons above")
    count = len(found)
    parts, stopped = _encoded(loaded, found, seconds, conditions)
    if not parts:
        raise Stopped(f"Stopped before any of the {count} images was encoded; nothing is written.", 130)
    found = found[: sum(len(part) for part in parts)]
    rows = _rows(loaded, found, parts, own)
    report = {"model": loaded.card.name, "model_identity": loaded.identity, "own": own,
              **({"stopped": True, "left_out": count - len(found)} if stopped else {})}  # fmt: skip
    _write(out, sheet, loaded, conditions, found, parts, {**report, "images": rows})
    if json:
        named = [{"name": picture.exam, **row} for picture, row in zip(found, rows, strict=True)]
        emit({"out": str(out), **report, "images": named, "limits": loaded.card.limits})
    for picture, row in zip(found, rows, strict=True):
        each = ", ".join(f"{m} {value:.2f}" for m, value in row["correlation"].items())
        say(f"{picture.exam}, slice {picture.z}: {row['sentence']} Correlation: {each}.")
    say(f"{len(found)} latents are in {out}. {loaded.card.limits}")
    if stopped:
        raise Stopped(
            f"Stopped: {out} holds {len(found)} of {count} images, the last ones as far as they had come; to encode "
            "all, give another --out.",
            130,
        )


def _refuse(path: Path, suffix: str) -> None:
    if path.suffix.lower() != suffix:
        raise InputError(f"{path}: is no name of {suffix}; give one that ends in it")
    if path.exists():
        raise InputError(f"{path}: is there already; give another place or delete it")


def _encoded(
    model: Model, found: Sequence[Picture], seconds: float, conditions: dict[str, str | float]
) -> tuple[list[Refined], bool]:
    """What was encoded, some images each, as they came, and whether Ctrl-C ended it before the last was done."""
    from napari_pgan.progress import progress

    parts: list[Refined] = []
    done = 0
    try:
        with progress("encoding", len(found), "images") as update:
            for _, alike in itertools.groupby(found, lambda picture: picture.labels is None):
                left = list(alike)
                while left:
                    some, left = left[:_AT_ONCE], left[_AT_ONCE:]
                    for number, best in enumerate(_encode_some(model, some, seconds, conditions)):
                        parts[len(parts) - (number > 0) :] = [best]
                    done += len(some)
                    update(done)
    except KeyboardInterrupt:
        return parts, True
    return parts, False


def _encode_some(
    model: Model, found: Sequence[Picture], seconds: float, conditions: dict[str, str | float]
) -> Iterator[Refined]:
    """Of pictures that all have a segmentation, or none has, together: the best so far, again and again."""
    import numpy as np

    from napari_pgan.latent.encoder import encode as start_of
    from napari_pgan.latent.encoder import refine

    images = np.stack([picture.images for picture in found])
    maps = [picture.labels for picture in found if picture.labels is not None]
    labels = np.stack(maps) if len(maps) == len(found) else None
    start = start_of(model, images=images)
    yield from refine(model, start, images=images, labels=labels, seconds=seconds * len(found), conditions=conditions)


def _rows(model: Model, found: list[Picture], parts: list[Refined], own: dict[str, Any]) -> list[dict[str, Any]]:
    """The report's, one an image, without names."""
    import numpy as np

    from napari_pgan.latent.encoder import Fidelity, judge

    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    fidelity = Fidelity.of(np.stack([picture.images for picture in found]), images)
    took = [(part.steps, part.seconds / len(part)) for part in parts for _ in range(len(part))]
    rows = []
    for n, (picture, (steps, seconds)) in enumerate(zip(found, took, strict=True)):
        verdict = judge(float(fidelity.explained[n].mean()), own, steps)
        rows.append(
            {
                "exam": picture.number,
                "slice": picture.z,
                "correlation": dict(zip(model.card.channels.modalities, fidelity.correlation[n].tolist(), strict=True)),
                "error": dict(zip(model.card.channels.modalities, fidelity.error[n].tolist(), strict=True)),
                "explained": dict(zip(model.card.channels.modalities, fidelity.explained[n].tolist(), strict=True)),
                "dice": None if picture.labels is None else _dice(picture.labels, labels[n], model),
                "steps": steps,
                "seconds": round(seconds, 2),
                "verdict": verdict.name,
                "sentence": verdict.sentence,
            }
        )
    return rows


def _dice(wanted: np.ndarray, found: np.ndarray, model: Model) -> dict[str, float | None]:
    """Of each label by its name; None for one that is in neither."""
    import math

    from napari_pgan.latent.steering import TargetMask

    channels = model.card.channels
    every = TargetMask.of(wanted, channels, model.card.grid).dice(found[None])[0].tolist()
    return {label.name: None if math.isnan(x) else x for label, x in zip(channels.labels, every, strict=True)}


def _write(
    out: Path,
    sheet: Path | None,
    model: Model,
    conditions: dict[str, str | float],
    found: list[Picture],
    parts: list[Refined],
    report: dict[str, Any],
) -> None:
    import json

    import numpy as np

    from napari_pgan.model import Batch
    from napari_pgan.samples import write_npz, write_sheet

    card = model.card

    images, labels, latents = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels", "latents")
    )
    originals = np.stack([picture.images for picture in found])
    batch = Batch(images, labels, np.empty(0, np.float32), latents, conditions, card.grid)
    more = {"originals": originals, "report": np.array(json.dumps(report, ensure_ascii=False))}
    write_npz(out, batch, model, more=more)
    if sheet is not None:
        empty = np.zeros(card.grid.shape, np.uint8)
        drawn = [empty if picture.labels is None else picture.labels for picture in found]
        rows = [text for n in range(len(found)) for text in (f"image {n + 1}", "encoded")]
        foot = f'Rows "image" were given; rows "encoded" are the model\'s own: {card.limits}'
        write_sheet(
            sheet, np.stack([originals, images], 1).reshape(-1, *images.shape[1:]),
            np.stack([np.stack(drawn), labels], 1).reshape(-1, *labels.shape[1:]), card.channels, rows,
            blocks=1 if len(found) <= 4 else 2, foot=foot,
        )  # fmt: skip
