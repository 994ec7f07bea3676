"""What is shown of candidates: small pictures, and a table of what was asked and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pgan.spec import Channels, Grid

if TYPE_CHECKING:
    from napari_pgan.latent.steering import Wish
    from napari_pgan.viewer.search import Answer

LESION = "all together"


@dataclass(frozen=True)
class Row:
    """A label of the table.

    Parameters
    ----------
    name, color
        Of the label; of all together no colour.
    asked, found
        Its area, in `unit`.
    unit
        ``mm²``, or ``pixels`` where the grid has no spacing.
    dice
        How well both agree; None where the label is neither asked for nor there.
    """

    name: str
    color: str
    asked: float
    found: float
    unit: str
    dice: float | None


def pictures(answer: Answer) -> list[np.ndarray]:
    """Of each candidate, (Y, X, 3) uint8."""
    from napari_pgan.samples import thumbnail

    channels = answer.ask.model.card.channels
    return [thumbnail(i, x, channels) for i, x in zip(answer.batch.images, answer.batch.labels, strict=True)]


def table(wish: Wish, labels: np.ndarray, channels: Channels, grid: Grid) -> list[Row]:
    """What was asked and what one candidate has, a row a label and one for all together.

    Parameters
    ----------
    wish
        What was asked.
    labels
        (Y, X), what was found; what lies where any label would do is not counted.
    channels, grid
        The model's.
    """
    unit, size = ("pixels", 1.0) if grid.spacing is None else ("mm²", float(np.prod(grid.spacing)))
    counted = np.where(wish.open, 0, labels)
    dice = wish.dice(labels[None])[0]
    rows = [
        Row(
            label.name,
            label.color,
            float((wish.labels == label.value).sum()) * size,
            float((counted == label.value).sum()) * size,
            unit,
            None if np.isnan(dice[k]) else float(dice[k]),
        )
        for k, label in enumerate(channels.labels)
    ]
    if len(rows) > 1:
        asked, found = wish.labels > 0, counted > 0
        both = int(asked.sum() + found.sum())
        whole = 2 * float((asked & found).sum()) / both if both else None
        rows.append(Row(LESION, "", float(asked.sum()) * size, float(found.sum()) * size, unit, whole))
    return rows


def follow(latent: np.ndarray, latents: np.ndarray) -> int:
    """Which of latents (N, L) goes on where `latent` was: the nearest by angle."""
    return int(np.argmax(latents @ latent / np.maximum(np.linalg.norm(latents, axis=1), 1e-12)))
