"""`napari-pgan-train encoder`: train encoders for a model on its own samples."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from napari_pgan.cli.options import Device


def encoder(
    model: Annotated[str, typer.Argument(help="A model file; the encoders are written into it.")],
    minutes: Annotated[float, typer.Option(help="Training time.", min=0.01, max=10_000)] = 4.0,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the measurements as JSON.")] = False,
) -> None:
    """Train encoders, so that `encode` starts near an image's latent, and write them into the model file.

    Two encoders are trained on the model's own samples: one of images, one of segmentations. The rest of the file,
    including its identity, does not change; existing encoders are replaced at the end, in one step.

    Example: `napari-pgan-train encoder run/model.safetensors`
    """
    from napari_pgan.latent.encoder import learn_encoders
    from napari_pgan.model import add_encoders, find_model, load_model
    from napari_pgan.progress import Update, emit, progress, say
    from napari_pgan.training.device import choose_device

    path, loaded = find_model(model), load_model(model, choose_device(device))
    with contextlib.ExitStack() as stack:
        updates: dict[str, Update] = {}

        def report(what: str, share: float) -> None:
            if what not in updates:
                stack.close()
                updates[what] = stack.enter_context(progress(what.capitalize(), 100, "%"))
            updates[what](int(100 * share))

        learnt = learn_encoders(loaded, 60 * minutes, report)
    add_encoders(path, learnt.encoders, learnt.measures)
    own = learnt.measures["own"]
    if json:
        emit({"model": str(path), "model_identity": loaded.identity, **learnt.measures})
    found = ", ".join(f"{m} {value:.3f}" for m, value in own["correlation"].items())
    say(f"{path} now has encoders. The model's own samples are reconstructed with a correlation of {found}.")
