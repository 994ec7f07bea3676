"""The verdict of likeness: every figure counts by how far it is from its floor, and the worst one decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.split_half import WithBaseline
from napari_pgan.evaluation.report.section import Light

GOOD, FAIR = 2.0, 4.0  # times as far as real images are from each other, or a share as many times smaller than theirs
LEAST = 200  # images of a set, below which nobody is called good: distances of small sets are large whoever made them
SQUARES = ("frechet", "kernel")  # squared distances, as is the custom
_SHARES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Verdict:
    """A figure that counts.

    Parameters
    ----------
    figure
        Which.
    beside
        Its value and floor.
    unseen
        They are against subjects that the model has not seen; else against half of all subjects.
    times
        How many times as far as real images it is, as a distance; of a share, how many times smaller.
    """

    figure: Figure
    beside: WithBaseline
    unseen: bool
    times: float


def worst_of(found: Likeness) -> Verdict:
    """The figure that decides."""
    every = []
    for one in found.figures:
        if one.measure == "ms-ssim" or (one.measure == "swd" and one.level != "mean"):
            continue
        for beside, unseen, images in ((one.halves, False, found.images), (one.held, True, found.held_images)):
            if beside is not None:
                every.append(Verdict(one, beside, unseen, _times(one.measure, beside, images)))
    return max(every, key=lambda judged: judged.times)


def light_of(found: Likeness) -> Light:
    """By the worst figure. Small sets flatter, so that they can convict but not acquit."""
    times = worst_of(found).times
    if times > FAIR:
        return "poor"
    if min(found.images, found.swd_images) < LEAST:
        return "unknown"
    return "good" if times <= GOOD else "fair"


def _times(measure: str, b: WithBaseline, images: int) -> float:
    if measure in _SHARES:
        least = 1 / images  # a share of so many images says no more
        return (b.floor + least) / (b.value + least)
    # an unbiased distance of real images may come out as nothing, or below: then its scatter is what is usual
    floor = max(b.floor, (b.floor_high - b.floor_low) / 2, 1e-9)
    times = max(b.value, 0.0) / floor
    return math.sqrt(times) if measure in SQUARES else times
