"""`napari-pgan-train encoder`: encoders for a model, learnt from its own samples."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from napari_pgan.cli.options import Device


def encoder(
    model: Annotated[str, typer.Argument(help="A model file; the encoders are written into it.")],
    minutes: Annotated[float, typer.Option(help="How long they learn.", min=0.01, max=10_000)] = 4.0,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print what was measured, for machines.")] = False,
) -> None:
    """Learn encoders, so that `encode` begins near an image's latent, and write them into the model file.

    Two are learnt, from the model's own samples alone: of its images, and of its segmentations. All else in the file
    stays as it is, its identity too; encoders that it holds are replaced at the end, in one step.

    Example: `napari-pgan-train encoder run/model.safetensors`
    """
    from napari_pgan.latent.encoder import learn_encoders
    from napari_pgan.model import add_encoders, find_model, load_model
    from napari_pgan.progress import Update, emit, progress, say
    from napari_pgan.training.device import choose_device

    path, loaded = find_model(model), load_model(model, choose_device(device))
    with contextlib.ExitStack() as stack:
        updates: dict[str, Update] = {}

        def tell(what: str, share: float) -> None:
            if what not in updates:
                stack.close()
                updates[what] = stack.enter_context(progress(what.capitalize(), 100, "%"))
            updates[what](int(100 * share))

        learnt = learn_encoders(loaded, 60 * minutes, tell)
    add_encoders(path, learnt.encoders, learnt.measures)
    own = learnt.measures["own"]
    if json:
        emit({"model": str(path), "model_identity": loaded.identity, **learnt.measures})
    found = ", ".join(f"{m} {value:.3f}" for m, value in own["correlation"].items())
    say(f"{path} has encoders now. Its own samples come back with a correlation of {found}.")
