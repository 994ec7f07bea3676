"""Results of the search for copies of training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_pgan.evaluation.to_json import to_json

CANNOT_TELL, NONE, SOME, MANY = "cannot tell", "no copies found", "copies found", "reproduces its training images"


@dataclass(frozen=True)
class Rule:
    """A criterion for copies: a quantity of every image, and the threshold below which the image is a copy.

    Parameters
    ----------
    view
        ``"pixels"`` or ``"features"``.
    quantity
        ``"ratio"``: distance to the nearest training subject, divided by the distance to the nearest other subjects.
        ``"distance"``: distance to the nearest training image, √(2 − 2 · correlation).
    decides
        Whether the verdict depends on it. Ratios decide; distances decide if there is no ratio, since small or uniform
        images are close to many others.
    threshold
        Images below it are copies.
    copies
        Number of generated images below the threshold.
    smallest, median
        Of generated images.
    held_out_smallest, held_out_median
        Of held-out real images.
    edges, samples, held_out
        Histogram: bin edges, and counts of generated and of held-out images.
    """

    view: str
    quantity: str
    decides: bool
    threshold: float
    copies: int
    smallest: float
    median: float
    held_out_smallest: float
    held_out_median: float
    edges: tuple[float, ...]
    samples: tuple[int, ...]
    held_out: tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A generated image and its nearest training image.

    Parameters
    ----------
    sample
        Index of the generated image.
    subject
        Key of the training subject.
    slice_index
        Index of the training image within the subject.
    flip
        Flip that aligns the generated image with the training image: one of `FLIPS`.
    correlation
        Correlation of the pixels, centred and without what all images have in common.
    ratio
        Distance ratio in pixels; NaN without other subjects.
    feature_ratio
        Distance ratio in features; NaN without features.
    copy
        Whether a rule classifies the image as a copy.
    by
        The view in which the training image is nearest: ``"pixels"`` or ``"features"``.
    """

    sample: int
    subject: str
    slice_index: int
    flip: str
    correlation: float
    ratio: float
    feature_ratio: float
    copy: bool
    by: str


@dataclass(frozen=True)
class Memorisation:
    """Result of the search.

    Parameters
    ----------
    verdict
        ``"cannot tell"``, ``"no copies found"``, ``"copies found"`` or ``"reproduces its training images"``.
    sentence
        The verdict with its numbers, for display.
    samples, copies
        Number of generated images, and of copies among them.
    flagged
        Indices of the copies.
    training_images, training_subjects, held_out_images, held_out_subjects
        Numbers of images and subjects in the comparison.
    rules
        Empty without held-out subjects.
    false_alarms
        Number of held-out images classified as copies by thresholds from the other half of the held-out subjects, and
        number of tested images; (0, 0) with fewer than four subjects.
    found
        Kind of planted copy → (number found, number planted).
    nearer
        Share of generated images that are closer to the training images (in pixels) than the median held-out image:
        0.5 for new subjects, 1 for a model that stays close to its training images. NaN without held-out subjects.
    nearer_low, nearer_high
        5th and 95th percentile over resampled held-out subjects.
    pairs
        The most suspicious pairs, the closest first.
    notes
        Limitations, one sentence each.
    """

    verdict: str
    sentence: str
    samples: int
    copies: int
    flagged: tuple[int, ...]
    training_images: int
    training_subjects: int
    held_out_images: int
    held_out_subjects: int
    rules: tuple[Rule, ...]
    false_alarms: tuple[int, int]
    found: dict[str, tuple[int, int]]
    nearer: float
    nearer_low: float
    nearer_high: float
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values; NaN becomes None."""
        return to_json(self)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Memorisation:
        """Inverse of `to_dict`."""
        some = {name: values[name] for name in cls.__dataclass_fields__}
        for name in ("nearer", "nearer_low", "nearer_high"):
            some[name] = _number(some[name])
        lists = ("edges", "samples", "held_out")
        some["rules"] = tuple(Rule(**{**rule, **{k: tuple(rule[k]) for k in lists}}) for rule in some["rules"])
        some["pairs"] = tuple(
            Pair(**{**pair, **{k: _number(pair[k]) for k in ("correlation", "ratio", "feature_ratio")}})
            for pair in some["pairs"]
        )
        some["found"] = {kind: (found, of) for kind, (found, of) in some["found"].items()}
        for name in ("flagged", "false_alarms", "notes"):
            some[name] = tuple(some[name])
        return cls(**some)


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
