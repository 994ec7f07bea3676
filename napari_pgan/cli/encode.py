"""`napari-pgan-train encode`: find the latents of real images."""

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

    from napari_pgan.cli.exam_source import ExamSlice
    from napari_pgan.latent.encoder import Refined
    from napari_pgan.model import Model

_BATCH = 8


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
        str, typer.Option(help="Slices, such as 60 or 60,64-70; auto: the one with the largest lesion, else head.")
    ] = "auto",
    subject: Annotated[
        list[str] | None, typer.Option(help="Subject key of a store; repeatable. Default all held-out subjects.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Maximum time per image.", min=0, max=3600)] = 5.0,
    condition: Annotated[list[str] | None, typer.Option(help="name=value; repeatable.")] = None,
    register: Annotated[bool, typer.Option("--register", help="Register each exam's modalities first.")] = False,
    bias: Annotated[bool, typer.Option("--bias", help="Correct the bias field (N4) first.")] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="Remove the skull, with the exam's own brain mask if it has one.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option(help="A .png with each image above its reconstruction.")] = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Find latents that reconstruct real images, and report how well they do.

    Images are scaled and resampled to the model's grid as in `prepare`. A segmentation, if given, is matched as well.
    `sample --latents FILE` generates the images again.

    Example: `napari-pgan-train encode default t1=t1.nii.gz t1ce=t1ce.nii.gz t2=t2.nii.gz flair=flair.nii.gz --out
    exam.npz`
    """
    from napari_pgan.cli.exam_source import ExamOptions, exam_slices
    from napari_pgan.cli.sample import parse_conditions
    from napari_pgan.latent.encoder import recorded_fidelity
    from napari_pgan.model import load_model
    from napari_pgan.progress import emit, say
    from napari_pgan.training.device import choose_device

    require_finite(seconds=seconds)
    _require_new(out, ".npz")
    if sheet is not None:
        _require_new(sheet, ".png")
    loaded = load_model(model, choose_device(device))
    conditions = parse_conditions(condition or [], loaded.card)
    options = ExamOptions(slices, tuple(subject or ()), register, bias, strip)
    exams = exam_slices(loaded.card, model, images, options, say)
    own = recorded_fidelity(loaded)  # fails early if the model has no encoders
    found = list(exams)
    if not found:
        raise InputError("none of the exams could be used, for the reasons above")
    count = len(found)
    parts, stopped = _encode_all(loaded, found, seconds, conditions)
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
            f"Stopped: {out} contains {len(found)} of {count} images, the last ones not fully refined; for all of "
            "them, give another --out.",
            130,
        )


def _require_new(path: Path, suffix: str) -> None:
    if path.suffix.lower() != suffix:
        raise InputError(f"{path}: does not end in {suffix}; give a name that does")
    if path.exists():
        raise InputError(f"{path}: already exists; give another name or delete it")


def _encode_all(
    model: Model, found: Sequence[ExamSlice], seconds: float, conditions: dict[str, str | float]
) -> tuple[list[Refined], bool]:
    """Encode images; return batches of results, and whether Ctrl-C stopped it early."""
    from napari_pgan.progress import progress

    parts: list[Refined] = []
    done = 0
    try:
        with progress("encoding", len(found), "images") as update:
            for _, group in itertools.groupby(found, lambda picture: picture.labels is None):
                left = list(group)
                while left:
                    batch, left = left[:_BATCH], left[_BATCH:]
                    for number, best in enumerate(_encode_batch(model, batch, seconds, conditions)):
                        parts[len(parts) - (number > 0) :] = [best]
                    done += len(batch)
                    update(done)
    except KeyboardInterrupt:
        return parts, True
    return parts, False


def _encode_batch(
    model: Model, found: Sequence[ExamSlice], seconds: float, conditions: dict[str, str | float]
) -> Iterator[Refined]:
    """Encode images that all have a segmentation, or all have none; yields the best so far."""
    import numpy as np

    from napari_pgan.latent.encoder import encode as encode_once
    from napari_pgan.latent.encoder import refine

    images = np.stack([picture.images for picture in found])
    maps = [picture.labels for picture in found if picture.labels is not None]
    labels = np.stack(maps) if len(maps) == len(found) else None
    start = encode_once(model, images=images)
    yield from refine(model, start, images=images, labels=labels, seconds=seconds * len(found), conditions=conditions)


def _rows(model: Model, found: list[ExamSlice], parts: list[Refined], own: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the report's rows, one for each image, without names."""
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


def _dice(labels: np.ndarray, found: np.ndarray, model: Model) -> dict[str, float | None]:
    """Return the Dice of each label by name; None for a label in neither."""
    import math

    from napari_pgan.latent.steering import TargetMask

    channels = model.card.channels
    every = TargetMask.of(labels, channels, model.card.grid).dice(found[None])[0].tolist()
    return {label.name: None if math.isnan(x) else x for label, x in zip(channels.labels, every, strict=True)}


def _write(
    out: Path,
    sheet: Path | None,
    model: Model,
    conditions: dict[str, str | float],
    found: list[ExamSlice],
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
        foot = f'Rows "image" are the input; rows "encoded" are generated by the model: {card.limits}'
        write_sheet(
            sheet, np.stack([originals, images], 1).reshape(-1, *images.shape[1:]),
            np.stack([np.stack(drawn), labels], 1).reshape(-1, *labels.shape[1:]), card.channels, rows,
            blocks=1 if len(found) <= 4 else 2, foot=foot,
        )  # fmt: skip
