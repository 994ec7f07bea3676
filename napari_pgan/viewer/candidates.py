"""Thumbnails of the candidates of a search, and a table that compares a candidate with the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_pgan.schema import Channels, Grid

if TYPE_CHECKING:
    from napari_pgan.latent.steering import TargetAreas, TargetMask
    from napari_pgan.viewer.steering_search import SearchResult

LESION = "all together"


@dataclass(frozen=True)
class CandidateRow:
    """A row of the table.

    Parameters
    ----------
    name, color
        Label, or another quantity without a colour.
    asked, found
        Target and candidate, with their unit; the target is empty if it is left open.
    dice
        Agreement; None if the label is absent in both, or the target is not a mask.
    """

    name: str
    color: str
    asked: str
    found: str
    dice: float | None = None


def thumbnails(result: SearchResult) -> list[np.ndarray]:
    """Return a picture of each candidate, (Y, X, 3) uint8."""
    from napari_pgan.samples import thumbnail

    channels = result.request.model.card.channels
    return [thumbnail(i, x, channels) for i, x in zip(result.batch.images, result.batch.labels, strict=True)]


def table(result: SearchResult, index: int) -> list[CandidateRow]:
    """Compare a candidate with the target."""
    card, labels, target = result.request.model.card, result.candidates.labels[index], result.request.target_mask
    if target is not None:
        return mask_table(target, labels, card.channels, card.grid)
    return areas_table(cast("TargetAreas", result.request.target), labels)


def describe(result: SearchResult) -> str:
    """Describe the state of a search: its steps and the score of the best candidate."""
    candidates, drawn = result.candidates, result.request.target_mask is not None
    best = f"mean Dice {candidates.scores[0]:.2f}" if drawn else f"{100 * candidates.scores[0]:.0f} % of what was asked"
    moved = "" if candidates.moved is None else f"; the rest moved by {100 * candidates.moved[0]:.1f} %"
    refined = f", with changes of strength {result.request.strength:g}" if candidates.offsets else ""
    return f"{candidates.steps} steps{refined}: the best has {best}{moved}"


def mask_table(target: TargetMask, labels: np.ndarray, channels: Channels, grid: Grid) -> list[CandidateRow]:
    """Return a row with the areas of each label, and one for the whole lesion.

    Parameters
    ----------
    target
        The target; its open pixels are not counted.
    labels
        (Y, X), labels of the candidate.
    channels, grid
        Those of the model.
    """
    counted = np.where(target.open, 0, labels)
    rows = []
    for label, dice in zip(channels.labels, target.dice(labels[None])[0], strict=True):
        rows.append(_row(label.name, label.color, target.labels == label.value, counted == label.value, grid, dice))
    if len(rows) > 1:
        rows.append(_row(LESION, "", target.labels > 0, counted > 0, grid, target.lesion_dice(labels[None])[0]))
    return rows


def areas_table(target: TargetAreas, labels: np.ndarray) -> list[CandidateRow]:
    """Return a row for each label, for the lesion and for the other targets, of labels (Y, X)."""
    found, unit, channels = target.measure(labels), target.grid.area_unit, target.channels

    def area_row(name: str, color: str, area: float | None, key: str) -> CandidateRow:
        return CandidateRow(name, color, "" if area is None else f"{area:,.0f} {unit}", f"{found[key]:,.0f} {unit}")

    rows = [area_row(x.name, x.color, target.areas.get(x.value), x.name) for x in channels.labels]
    rows.append(area_row(LESION, "", target.lesion, "lesion"))
    for label in channels.labels:
        if label.value in target.shares:
            share = found.get(f"{label.name}, share", 0.0)
            rows.append(CandidateRow(f"{label.name}, share", "", f"{target.shares[label.value]:.0%}", f"{share:.0%}"))
    if target.side is not None:
        left = found.get("left")
        here = "" if left is None else f"{left if target.side == 'left' else 1 - left:.0%}"
        rows.append(CandidateRow("on that side", "", target.side, here))
    return rows


def nearest(latent: np.ndarray, latents: np.ndarray) -> int:
    """Return the index of the latent in (N, L) with the smallest angle to `latent`."""
    return int(np.argmax(latents @ latent / np.maximum(np.linalg.norm(latents, axis=1), 1e-12)))


def _row(name: str, color: str, asked: np.ndarray, found: np.ndarray, grid: Grid, dice: float) -> CandidateRow:
    unit, size = grid.area_unit, grid.pixel_area
    before, after = (f"{mask.sum() * size:,.0f} {unit}" for mask in (asked, found))
    return CandidateRow(name, color, before, after, None if np.isnan(dice) else float(dice))
