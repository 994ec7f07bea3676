"""What a search for copies of training images found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from napari_pgan.evaluation.to_json import plain

CANNOT_TELL, NONE, SOME, MANY = "cannot tell", "no copies found", "copies found", "reproduces its training images"


@dataclass(frozen=True)
class Rule:
    """One way to tell a copy: a figure of every image, and the threshold below which it is one.

    Parameters
    ----------
    view
        ``"pixels"`` or ``"features"``.
    quantity
        ``"ratio"``: distance to the nearest training subject over that to the nearest other real subjects.
        ``"distance"``: to the nearest training image, √(2 − 2 · correlation).
    decides
        Whether the verdict rests on it: ratios do, and distances where there is no ratio. Small or plain pictures are
        near to many, so that their distance alone says little.
    threshold
        Smaller is a copy, if it decides.
    copies
        Generated images below it.
    smallest, median
        Of the generated images.
    held_out_smallest, held_out_median
        Of held-out real images.
    edges, samples, held_out
        A histogram: edges of bins, and how many images are in each.
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
    """A generated image and the training image that it is nearest to.

    Parameters
    ----------
    sample
        Which generated image.
    subject
        Key of the training subject.
    slice_index
        Which of the subject's images, in the order they were given in.
    flip
        How the generated image is to be flipped to lie on the other: one of `FLIPS`.
    correlation
        Of the pixels of the two, centred and less what is common.
    ratio
        In pixels; NaN where there are no other subjects.
    feature_ratio
        In features; NaN without.
    copy
        A rule takes it for one.
    by
        The view that names the training image: ``"pixels"`` or ``"features"``.
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
    """What was found.

    Parameters
    ----------
    verdict
        ``"cannot tell"``, ``"no copies found"``, ``"copies found"`` or ``"reproduces its training images"``.
    sentence
        The same for people, with its figures.
    samples, copies
        Generated images, and how many of them a rule takes for copies.
    flagged
        Which.
    training_images, training_subjects, held_out_images, held_out_subjects
        What they were held against. Of very many held-out images some are judged; all are compared with.
    rules
        Each with its threshold; none where nothing was held out.
    false_alarms
        Held-out images taken for copies when the other half of the held-out subjects sets the thresholds, and of how
        many; (0, 0) with fewer than four subjects.
    found
        Kind of planted copy → how many were found, of how many.
    nearer
        Share of generated images that are nearer to the training images (in pixels) than the median held-out image is:
        0.5 for new patients, 1 for a model that hugs its training images. NaN where nothing was held out.
    nearer_low, nearer_high
        5th and 95th percentile over draws of held-out subjects.
    pairs
        The closest, most suspicious first.
    notes
        What limits the answer, one sentence each.
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
        """JSON-ready; what is not a number is None."""
        return plain(asdict(self))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Memorisation:
        """The inverse of `to_dict`."""
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
