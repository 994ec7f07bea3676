"""Is a model of use: how well does a segmenter do on patients that has learnt from generated images?

Segmenters are trained on generated images, on real ones, and on both, and tested on subjects that neither they nor the
model have seen ("train on synthetic, test on real", Esteban et al. 2017, arXiv:1706.02633; on these data Akbar et al.
2024, doi:10.1038/s41597-024-03073-x, found 80 to 90 % of the real-trained Dice).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.segmentation.bootstrap import bootstrap
from napari_pgan.evaluation.segmentation.labelled import Indexed, Joined, Labelled
from napari_pgan.evaluation.segmentation.overlap import by_subject, region_names
from napari_pgan.evaluation.segmentation.segmenter import STEPS, Segmenter, train_segmenter
from napari_pgan.schema import Channels

SOURCES = ("real", "synthetic", "both")
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Group:
    """What can be learnt from some subjects, and from a model of the same subjects.

    Parameters
    ----------
    subjects
        How many the model and the real-trained segmenter have seen.
    real, synthetic
        Their slices, and the model's samples.
    """

    subjects: int
    real: Labelled
    synthetic: Labelled


@dataclass(frozen=True)
class Score:
    """How segmenters of one source do on one label, over test subjects that have it, averaged over seeds.

    Parameters
    ----------
    model
        Which group, counted from 0; that is the model which is measured, and the others are those of few subjects.
    subjects
        How many the source knows.
    source
        ``real``, ``synthetic`` or ``both``.
    label
        Its name, or ``all labels`` together.
    dice, low, high
        The mean, and the 5th and 95th percentile of a bootstrap over test subjects.
    hausdorff
        Median 95 % Hausdorff distance, in mm where the cohort has a spacing, else in pixels.
    missed
        The share of subject and seed where nothing of the label was found.
    tested
        Test subjects that have the label.
    """

    model: int
    subjects: int
    source: str
    label: str
    dice: float
    low: float
    high: float
    hausdorff: float
    missed: float
    tested: int


@dataclass(frozen=True)
class Ratio:
    """The mean Dice over labels of a source, as a share of the real-trained one's, with its interval."""

    model: int
    subjects: int
    source: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Use:
    """All of it.

    Parameters
    ----------
    scores
        A model, source and label each.
    ratios
        A model and source, but ``real``, each.
    tested
        Test subjects.
    seeds, steps
        Of each segmenter's training.
    unit
        Of the Hausdorff distance.
    """

    scores: tuple[Score, ...]
    ratios: tuple[Ratio, ...]
    tested: int
    seeds: tuple[int, ...]
    steps: int
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Use:
        """From what `to_dict` gave."""
        return cls(
            tuple(Score(**x) for x in by_model(data["scores"])),
            tuple(Ratio(**x) for x in by_model(data["ratios"])),
            data["tested"],
            tuple(data["seeds"]),
            data["steps"],
            data["unit"],
        )


def measure_use(
    groups: Sequence[Group],
    test: Labelled,
    channels: Channels,
    spacing: Sequence[float] | None,
    folder: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    steps: int = STEPS,
    progress: Callable[[int, int], None] | None = None,
) -> Use:
    """Train segmenters and test them.

    Parameters
    ----------
    groups
        The model's own first; further ones, of models of fewer subjects, for the low-data curve.
    test
        Slices of subjects that nobody has seen, with their subjects.
    channels
        What the labels are.
    spacing
        Between slices, rows and columns in mm; None for photographs.
    folder
        Where finished segmenters are kept; one that lies there is not trained again. It must hold those of the same
        groups only.
    seeds
        Of the segmenters.
    steps
        Of a training; the same for every source.
    progress
        Called with (done, all) steps.

    Raises
    ------
    InputError
        There are no labels, or no test subject has any.
    """
    if not channels.labels:
        raise InputError("the model makes no labels, so nobody can learn to segment from it; leave out the measure use")
    assert test.subject is not None
    if not test.labels.any():
        raise InputError("no test subject has a label to find; put others into the split test")
    folder.mkdir(parents=True, exist_ok=True)
    values, names = channels.values.tolist(), region_names([x.name for x in channels.labels])
    total, done = steps * len(seeds) * len(SOURCES) * len(groups), 0
    scores: list[Score] = []
    ratios: list[Ratio] = []
    for index, group in enumerate(groups):
        means: dict[str, np.ndarray] = {}
        for source in SOURCES:
            every = []
            for seed in seeds:
                segmenter = kept_segmenter(
                    segmenter_path(folder, index, source, seed),
                    *_mixed(group, source),
                    channels,
                    steps,
                    seed,
                    None if progress is None else lambda n, _, done=done: progress(done + n, total),  # type: ignore[misc]
                )
                done += steps
                predicted = segmenter.predict(test.images)
                every.append(by_subject(predicted, test.labels, test.subject, values, spacing or (1.0, 1.0, 1.0)))
            dices, distances = (np.array(x) for x in zip(*every, strict=True))  # (seeds, S, R)
            means[source] = dices.mean(axis=0)
            own = index, group.subjects, source
            scores += [_score(*own, n, dices[..., r], distances[..., r]) for r, n in enumerate(names)]
        labels = len(values)
        ratios += [
            _ratio(index, group.subjects, s, means[s][:, :labels], means["real"][:, :labels])
            for s in ("synthetic", "both")
        ]
    unit = "pixels" if spacing is None else "mm"
    return Use(tuple(scores), tuple(ratios), len(np.unique(test.subject)), tuple(seeds), steps, unit)


def by_model(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `Use.to_dict` that say whose they are; kept results of old tell models by their numbers of subjects."""
    counts = list(dict.fromkeys(row["subjects"] for row in rows))
    return [{"model": counts.index(row["subjects"]), **row} for row in rows]


def segmenter_path(folder: Path, group: int, source: str, seed: int) -> Path:
    """Where the segmenter of a group, counted from 0, a source and a seed is kept."""
    return folder / f"{group}-{source}-{seed}.safetensors"


def kept_segmenter(
    path: Path,
    images: Indexed,
    labels: Indexed,
    channels: Channels,
    steps: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Segmenter:
    """The segmenter that lies at `path`, or one that is trained now and kept there."""
    if path.is_file():
        try:
            return Segmenter.load(path)
        except InputError:
            path.unlink()  # damaged: trained again
    segmenter = train_segmenter(images, labels, channels, steps=steps, seed=seed, progress=progress)
    segmenter.save(path)
    return segmenter


def _mixed(group: Group, source: str) -> tuple[Indexed, Indexed]:
    """Images and label maps of a source; of both, as many of one as of the other."""
    if source != "both":
        data = group.real if source == "real" else group.synthetic
        return data.images, data.labels
    pair = group.real, group.synthetic
    count = max(len(data) for data in pair)
    picks = [np.arange(count) * len(data) // count for data in pair]
    return Joined([data.images for data in pair], picks), Joined([data.labels for data in pair], picks)


def _score(model: int, subjects: int, source: str, label: str, dices: np.ndarray, distances: np.ndarray) -> Score:
    """Of (seeds, S) figures."""
    there = ~np.isnan(dices).all(axis=0)
    found = distances[:, there]
    low, mean, high = bootstrap(lambda rows: float(np.mean(rows)), dices[:, there].mean(axis=0))
    finite = found[np.isfinite(found)]
    middle = float(np.median(finite)) if finite.size else float("nan")
    missed = float(np.isinf(found).mean()) if found.size else float("nan")
    return Score(model, subjects, source, label, mean, low, high, middle, missed, int(there.sum()))


def _ratio(model: int, subjects: int, source: str, dices: np.ndarray, real: np.ndarray) -> Ratio:
    """Of (S, K) figures: the mean over subjects for each label, then over labels, one over the other."""

    def ratio(rows: np.ndarray) -> float:
        mine, theirs = rows[..., 0], rows[..., 1]
        there = ~np.isnan(theirs).all(axis=0)
        own, other = np.nanmean(mine[:, there], axis=0).mean(), np.nanmean(theirs[:, there], axis=0).mean()
        return float(own / other) if other > 0 else float("nan")

    low, value, high = bootstrap(ratio, np.stack([dices, real], axis=-1))
    return Ratio(model, subjects, source, value, low, high)
