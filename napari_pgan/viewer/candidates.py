"""What is shown of candidates: small pictures, and a table of what was asked and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_pgan.schema import Channels, Grid

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetAreas, TargetMask
    from napari_pgan.viewer.search import Answer

LESION = "all together"


@dataclass(frozen=True)
class CandidateRow:
    """A row of the table.

    Parameters
    ----------
    name, color
        Of the label; of others no colour.
    asked, found
        With their unit; nothing where it was not asked for.
    dice
        How well both agree; None where the label is neither asked for nor there, or nothing was drawn.
    """

    name: str
    color: str
    asked: str
    found: str
    dice: float | None = None


def pictures(answer: Answer) -> list[np.ndarray]:
    """Of each candidate, (Y, X, 3) uint8."""
    from napari_pgan.samples import thumbnail

    channels = answer.ask.model.card.channels
    return [thumbnail(i, x, channels) for i, x in zip(answer.batch.images, answer.batch.labels, strict=True)]


def table(answer: Answer, index: int) -> list[CandidateRow]:
    """What was asked and what one candidate has."""
    card, labels, wish = answer.ask.model.card, answer.found.labels[index], answer.ask.wish
    if wish is not None:
        return drawn_table(wish, labels, card.channels, card.grid)
    return numbers_table(cast("TargetAreas", answer.ask.goal), labels)


def described(answer: Answer) -> str:
    """How far a search has come: its steps, and what the best candidate has."""
    found, drawn = answer.found, answer.ask.wish is not None
    best = f"mean Dice {found.scores[0]:.2f}" if drawn else f"{100 * found.scores[0]:.0f} % of what was asked"
    moved = "" if found.moved is None else f"; the rest moved by {100 * found.moved[0]:.1f} %"
    refined = f", with changes of strength {answer.ask.strength:g}" if found.offsets else ""
    return f"{found.steps} steps{refined}: the best has {best}{moved}"


def drawn_table(wish: TargetMask, labels: np.ndarray, channels: Channels, grid: Grid) -> list[CandidateRow]:
    """A row a label with its areas, and one for all together.

    Parameters
    ----------
    wish
        What was asked.
    labels
        (Y, X), what was found; what lies where any label would do is not counted.
    channels, grid
        The model's.
    """
    counted = np.where(wish.open, 0, labels)
    rows = []
    for label, dice in zip(channels.labels, wish.dice(labels[None])[0], strict=True):
        rows.append(_row(label.name, label.color, wish.labels == label.value, counted == label.value, grid, dice))
    if len(rows) > 1:
        rows.append(_row(LESION, "", wish.labels > 0, counted > 0, grid, wish.lesion_dice(labels[None])[0]))
    return rows


def numbers_table(numbers: TargetAreas, labels: np.ndarray) -> list[CandidateRow]:
    """A row for each label, for the lesion, and for what else was asked of label map (Y, X)."""
    found, unit = numbers.measure(labels), numbers.grid.area_unit
    rows = []
    for label in numbers.channels.labels:
        area = numbers.areas.get(label.value)
        asked = "" if area is None else f"{area:,.0f} {unit}"
        rows.append(CandidateRow(label.name, label.color, asked, f"{found[label.name]:,.0f} {unit}"))
    asked = "" if numbers.lesion is None else f"{numbers.lesion:,.0f} {unit}"
    rows.append(CandidateRow(LESION, "", asked, f"{found['lesion']:,.0f} {unit}"))
    for label in numbers.channels.labels:
        if label.value in numbers.shares:
            share = found.get(f"{label.name}, share", 0.0)
            rows.append(CandidateRow(f"{label.name}, share", "", f"{numbers.shares[label.value]:.0%}", f"{share:.0%}"))
    if numbers.side is not None:
        left = found.get("left")
        here = "" if left is None else f"{left if numbers.side == 'left' else 1 - left:.0%}"
        rows.append(CandidateRow("on that side", "", numbers.side, here))
    return rows


def _row(name: str, color: str, asked: np.ndarray, found: np.ndarray, grid: Grid, dice: float) -> CandidateRow:
    unit, size = grid.area_unit, grid.pixel_area
    areas = (f"{mask.sum() * size:,.0f} {unit}" for mask in (asked, found))
    return CandidateRow(name, color, *areas, None if np.isnan(dice) else float(dice))


def follow(latent: np.ndarray, latents: np.ndarray) -> int:
    """Which of latents (N, L) goes on where `latent` was: the nearest by angle."""
    return int(np.argmax(latents @ latent / np.maximum(np.linalg.norm(latents, axis=1), 1e-12)))
