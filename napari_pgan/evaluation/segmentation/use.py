"""Use: how well does a segmenter trained on generated images perform on real subjects?

Segmenters are trained on generated images, on real images, and on both, and tested on subjects that neither they nor
the model have seen ("train on synthetic, test on real", Esteban et al. 2017, arXiv:1706.02633). For brain tumours,
Akbar et al. 2024 (doi:10.1038/s41597-024-03073-x) found 80 to 90 % of the Dice of training on real images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.segmentation.bootstrap import bootstrap
from napari_pgan.evaluation.segmentation.labelled import Indexed, Joined, Labelled
from napari_pgan.evaluation.segmentation.overlap import by_subject, region_names
from napari_pgan.evaluation.segmentation.segmenter import STEPS, Segmenter, train_segmenter
from napari_pgan.evaluation.to_json import to_json
from napari_pgan.schema import Channels

SOURCES = ("real", "synthetic", "both")
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Group:
    """Training data of one model: slices of its training subjects, and its samples.

    Parameters
    ----------
    subjects
        Number of training subjects.
    real, synthetic
        Slices of the subjects, and samples of the model.
    """

    subjects: int
    real: Labelled
    synthetic: Labelled


@dataclass(frozen=True)
class Score:
    """Performance of segmenters of one source on one label, averaged over seeds and test subjects with that label.

    Parameters
    ----------
    model
        Index of the group; 0 is the evaluated model, others are models of few subjects.
    subjects
        Number of training subjects.
    source
        ``real``, ``synthetic`` or ``both``.
    label
        Name, or ``all labels`` together.
    dice, low, high
        Mean, 5th and 95th percentile of a bootstrap over test subjects.
    hausdorff
        Median 95 % Hausdorff distance, in mm if the cohort has a spacing, else in pixels.
    missed
        Share of subjects and seeds in which no pixel of the label was found.
    tested
        Number of test subjects with the label.
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
    """Mean Dice over labels of a source, relative to training on real images, with its interval."""

    model: int
    subjects: int
    source: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Use:
    """Results of the measure use.

    Parameters
    ----------
    scores
        One per model, source and label.
    ratios
        One per model and source except ``real``.
    tested
        Number of test subjects.
    seeds, steps
        Seeds of the segmenters, and training steps of each.
    unit
        Unit of the Hausdorff distance.
    """

    scores: tuple[Score, ...]
    ratios: tuple[Ratio, ...]
    tested: int
    seeds: tuple[int, ...]
    steps: int
    unit: str

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return to_json(self)  # type: ignore[no-any-return]


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
        The evaluated model first, then models of fewer subjects for the low-data curve.
    test
        Slices of unseen subjects.
    channels
        The labels.
    spacing
        Spacing of slices, rows and columns in mm; None for photographs.
    folder
        Folder of finished segmenters, which are not trained again. It must only contain segmenters of these groups.
    seeds
        Seeds of the segmenters.
    steps
        Training steps, the same for every source.
    progress
        Called with (done, total) steps.

    Raises
    ------
    InputError
        The model has no labels, or no test subject has any.
    """
    if not channels.labels:
        raise InputError("the model generates no labels to train a segmenter on; leave out the measure use")
    assert test.subject is not None
    if not test.labels.any():
        raise InputError("no test subject has a label; put other subjects into the split test")
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
                segmenter = load_or_train_segmenter(
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
    """Add the model index to rows of `Use.to_dict`; old results identify models by their number of subjects."""
    counts = list(dict.fromkeys(row["subjects"] for row in rows))
    return [{"model": counts.index(row["subjects"]), **row} for row in rows]


def segmenter_path(folder: Path, group: int, source: str, seed: int) -> Path:
    """Return the file of a segmenter."""
    return folder / f"{group}-{source}-{seed}.safetensors"


def load_or_train_segmenter(
    path: Path,
    images: Indexed,
    labels: Indexed,
    channels: Channels,
    steps: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Segmenter:
    """Load the segmenter at `path`, or train and save it."""
    if path.is_file():
        try:
            return Segmenter.load(path)
        except InputError:
            path.unlink()  # damaged: train again
    segmenter = train_segmenter(images, labels, channels, steps=steps, seed=seed, progress=progress)
    segmenter.save(path)
    return segmenter


def _mixed(group: Group, source: str) -> tuple[Indexed, Indexed]:
    """Images and label maps of a source; ``both`` has the same number of real and generated images."""
    if source != "both":
        data = group.real if source == "real" else group.synthetic
        return data.images, data.labels
    pair = group.real, group.synthetic
    count = max(len(data) for data in pair)
    picks = [np.arange(count) * len(data) // count for data in pair]
    return Joined([data.images for data in pair], picks), Joined([data.labels for data in pair], picks)


def _score(model: int, subjects: int, source: str, label: str, dices: np.ndarray, distances: np.ndarray) -> Score:
    """Summarise values (seeds, S)."""
    present = ~np.isnan(dices).all(axis=0)
    found = distances[:, present]
    low, mean, high = bootstrap(lambda rows: float(np.mean(rows)), dices[:, present].mean(axis=0))
    finite = found[np.isfinite(found)]
    middle = float(np.median(finite)) if finite.size else float("nan")
    missed = float(np.isinf(found).mean()) if found.size else float("nan")
    return Score(model, subjects, source, label, mean, low, high, middle, missed, int(present.sum()))


def _ratio(model: int, subjects: int, source: str, dices: np.ndarray, real: np.ndarray) -> Ratio:
    """Ratio of Dice (S, K), each averaged over subjects, then over labels."""

    def ratio(rows: np.ndarray) -> float:
        mine, theirs = rows[..., 0], rows[..., 1]
        present = ~np.isnan(theirs).all(axis=0)
        own, other = np.nanmean(mine[:, present], axis=0).mean(), np.nanmean(theirs[:, present], axis=0).mean()
        return float(own / other) if other > 0 else float("nan")

    low, value, high = bootstrap(ratio, np.stack([dices, real], axis=-1))
    return Ratio(model, subjects, source, value, low, high)
