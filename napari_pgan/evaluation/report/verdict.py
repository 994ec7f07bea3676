"""The verdict of likeness: every metric is compared with its baseline, and the worst one decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.split_half import WithBaseline
from napari_pgan.evaluation.report.section import Rating

GOOD, FAIR = 2.0, 4.0  # maximum ratio to the baseline; for a share, of the baseline to the share
LEAST = 200  # images per set needed for a verdict better than poor: small sets are far apart whoever generated them
SQUARES = ("frechet", "kernel")  # squared distances
_SHARES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class RatedMetric:
    """A metric with its ratio to the baseline.

    Parameters
    ----------
    figure
        The metric.
    values
        Its value and baseline.
    unseen
        Whether the comparison is with unseen subjects, not with half of all subjects.
    times
        Ratio of the distance to the baseline; for a share, ratio of the baseline to the share.
    """

    figure: Figure
    values: WithBaseline
    unseen: bool
    times: float


def decisive_metric(likeness: Likeness) -> RatedMetric:
    """Return the worst metric."""
    rated = []
    for one in likeness.figures:
        if one.measure == "ms-ssim" or (one.measure == "swd" and one.level != "mean"):
            continue
        for values, unseen, images in ((one.halves, False, likeness.images), (one.held, True, likeness.held_images)):
            if values is not None:
                rated.append(RatedMetric(one, values, unseen, _times(one.measure, values, images)))
    return max(rated, key=lambda one: one.times)


def rating_of(likeness: Likeness) -> Rating:
    """Rate by the worst metric. Results of small sets can only be poor or inconclusive."""
    times = decisive_metric(likeness).times
    if times > FAIR:
        return "poor"
    if min(likeness.images, likeness.swd_images) < LEAST:
        return "unknown"
    return "good" if times <= GOOD else "fair"


def _times(measure: str, b: WithBaseline, images: int) -> float:
    if measure in _SHARES:
        least = 1 / images  # resolution of the share
        return (b.baseline + least) / (b.value + least)
    # an unbiased baseline may be zero or negative; its spread is then the scale
    baseline = max(b.baseline, (b.baseline_high - b.baseline_low) / 2, 1e-9)
    times = max(b.value, 0.0) / baseline
    return math.sqrt(times) if measure in SQUARES else times
