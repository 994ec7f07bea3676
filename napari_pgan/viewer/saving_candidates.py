"""Candidates of a search as files, with what was asked for and how they were found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pgan.spec import Channels, Label
from napari_pgan.viewer.drawing import ANY_COLOR
from napari_pgan.viewer.saving import format_of, split_path

if TYPE_CHECKING:
    from napari_pgan.viewer.search import Answer


def candidate_files(answer: Answer, path: str | Path) -> list[Path]:
    """The files that `save_candidates` writes."""
    from napari_pgan.samples import sample_files

    folder, stem = split_path(path)
    channels, suffix = answer.ask.model.card.channels, format_of(path)
    asked = sample_files(folder, f"{stem}_asked", channels, images=False, suffix=suffix)
    each = [sample_files(folder, _name(stem, i), channels, suffix=suffix) for i in range(len(answer.found))]
    return [*asked, *(file for files in each for file in files)]


def save_candidates(answer: Answer, path: str | Path) -> list[Path]:
    """Write what was asked for and every candidate: a file a modality, the segmentation and a JSON sidecar.

    Parameters
    ----------
    answer
        Of a search.
    path
        As for `saving.save_shown`; the files of candidate 1 begin with ``STEM_01``, those of what was asked for with
        ``STEM_asked``.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    from napari_pgan.latent.steering import any_value
    from napari_pgan.samples import write_sample

    folder, stem = split_path(path)
    card, wish, suffix = answer.ask.model.card, answer.ask.wish, format_of(path)
    whatever = any_value(card.channels)
    labels = (*card.channels.labels, Label(whatever, "any", ANY_COLOR))
    asked = Channels(card.channels.modalities, labels, card.channels.groups)
    drawn = {"asked_of": card.name, "model_identity": answer.ask.model.identity, "told": list(answer.ask.told)}
    written = write_sample(
        folder, f"{stem}_asked", None, np.where(wish.open, whatever, wish.labels).astype(np.uint8), card.grid, asked,
        drawn, limits=card.limits, suffix=suffix,
    )  # fmt: skip
    for i in range(len(answer.found)):
        written += write_sample(
            folder, _name(stem, i), answer.batch.images[i], answer.batch.labels[i], answer.batch.grid, card.channels,
            origin(answer, i, f"{stem}_asked"), card.intensity, card.limits, suffix,
        )  # fmt: skip
    return written


def origin(answer: Answer, index: int, asked: str = "") -> dict[str, Any]:
    """The provenance of one candidate, in plain JSON values.

    Parameters
    ----------
    answer
        Of a search.
    index
        Of the candidate.
    asked
        The name of the files that hold what was asked for; left out if empty.
    """
    from napari_pgan.samples import provenance

    ask, found = answer.ask, answer.found
    made = provenance(ask.model.card, ask.model.identity, None, found.latents[index], 1.0, ask.conditions)
    dice = ask.wish.dice(found.labels[index : index + 1])[0]
    names = [label.name for label in ask.wish.channels.labels]
    steered: dict[str, Any] = {
        **({"asked": asked} if asked else {}),
        "candidate": index + 1,
        "of": ask.candidates,
        "score": float(found.scores[index]),
        "dice": {name: None if np.isnan(d) else float(d) for name, d in zip(names, dice, strict=True)},
        "steps": found.steps,
        "seconds": round(found.seconds, 3),
    }
    return {**made, "steered": steered}


def _name(stem: str, index: int) -> str:
    return f"{stem}_{index + 1:02d}"
