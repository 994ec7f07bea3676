"""Likeness: how close generated images are to real ones, by several metrics with their baseline.

Each metric is blind to something; see `swd`, `intensities`, `frechet`, `prdc` and `diversity`. For the baseline see
`split_half`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness import diversity
from napari_pgan.evaluation.likeness.descriptions import describe_metric
from napari_pgan.evaluation.likeness.features import FeatureEncoder, factor_below, shrink
from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.frechet import frechet_distance, kernel_distance
from napari_pgan.evaluation.likeness.intensities import within_labels
from napari_pgan.evaluation.likeness.prdc import NEAREST, prdc
from napari_pgan.evaluation.likeness.split_half import Comparison, WithBaseline, halvings, held_out, with_baseline
from napari_pgan.evaluation.likeness.swd import summarise, swd_with_baseline

COUNT = 2000  # maximum number of images per set for feature metrics
SWD_COUNT = 1000  # for the sliced Wasserstein distance; fewer for large images
_SWD_BYTES = 768 * 2**20  # its images in half precision
_SWD_PATCHES, _SWD_PROJECTIONS = 32, 128
_SSIM_PAIRS = 100  # per comparison
_SSIM_LARGEST = 64  # pixels
_HELD_DRAWS = 3
_FEATURE_CHUNK = 512
_SHARES = {"features": 15, "feature metrics": 15, "labels": 3, "ms-ssim": 20, "swd": 47}  # run time in percent

Progress = Callable[[int, int], None]
_Found = tuple[str, str, str, WithBaseline, WithBaseline | None]  # measure, channels, level, halves, held


@dataclass(frozen=True)
class ImageSet:
    """Images with their segmentation.

    Parameters
    ----------
    images
        (N, M, Y, X) in [-1, 1].
    fractions
        (N, K, Y, X) in [0, 1], one channel per label; 0 or 1 for generated images.
    """

    images: np.ndarray
    fractions: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, rows: np.ndarray) -> ImageSet:
        """Select rows."""
        return ImageSet(self.images[rows], self.fractions[rows])


def measure_likeness(
    real: ImageSet,
    subject: np.ndarray,
    held: np.ndarray,
    generated: ImageSet,
    modalities: Sequence[str],
    encoder: FeatureEncoder,
    *,
    times: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Likeness:
    """Compare generated with real images.

    Parameters
    ----------
    real, generated
        Images with the same channels and size. They are read in parts and may be memory-mapped.
    subject
        (R,), the subject of each real image.
    held
        bool (R,): whether the model has not seen the subject.
    modalities
        Names (M,).
    encoder
        Computes features.
    times
        Number of random splits.
    seed
        Seed of splits, draws, patches and directions. The same input and seed give the same result.
    progress
        Called with (done, total).

    Raises
    ------
    InputError
        There are fewer than two real subjects or too few images, or real and generated images differ in shape.
    """
    if real.images.shape[1:] != generated.images.shape[1:] or len(modalities) != real.images.shape[1]:
        raise InputError(
            f"real images of shape {real.images.shape} and generated ones of {generated.images.shape} cannot be "
            f"compared; both need {len(modalities)} modalities and the same size"
        )
    rows = spread(subject, 2 * COUNT, seed)
    comparisons = halvings(subject[rows], min(len(generated), COUNT), times=times, seed=seed)
    held_comparisons = held_out(held[rows], min(len(generated), COUNT), times=_HELD_DRAWS, seed=seed)
    least = min(len(comparison) for comparison in [*comparisons, *held_comparisons])
    if least <= NEAREST:
        raise InputError(
            f"sets of {least} images are too few to compare; give more slices of each subject, or more samples"
        )
    drawn = np.arange(min(len(generated), COUNT))
    real_features = _features(encoder, real.images, rows, _part(progress, "features", 0, 2))
    made_features = _features(encoder, generated.images, drawn, _part(progress, "features", 1, 2))
    both = [comparisons, held_comparisons]
    halves, held_metrics = (_feature_metrics(real_features, made_features, some, seed) for some in both)
    _part(progress, "feature metrics")(1, 1)
    found: list[_Found] = [(name, "images", "", halves[name], held_metrics.get(name)) for name in halves]
    found += _within_labels(real, generated, [_of_rows(some, rows) for some in both])
    _part(progress, "labels")(1, 1)
    alike, settings = _ssim(real.images, rows, generated.images, both, seed, _part(progress, "ms-ssim"))
    assert alike[0] is not None
    found.append(("ms-ssim", "images", "", alike[0], alike[1]))

    most = _swd_count(real)
    rows, drawn_count = spread(subject, 2 * most, seed), min(len(generated), most)
    swd_comparisons = halvings(subject[rows], drawn_count, times=times, seed=seed)
    swd_held = held_out(held[rows], drawn_count, times=_HELD_DRAWS, seed=seed)
    moved = _of_rows([*swd_comparisons, *swd_held], rows)
    found += _swd(real, generated, modalities, moved, times, seed, _part(progress, "swd"))
    order = {name: i for i, name in enumerate(("swd", "intensity", "frechet", "kernel"))}
    found.sort(key=lambda one: order.get(one[0], len(order)))
    return Likeness(
        tuple(_figure(*one) for one in found),
        images=len(comparisons[0]),
        swd_images=len(swd_comparisons[0]),
        held_images=len(held_comparisons[0]) if held_comparisons else 0,
        held_swd_images=len(swd_held[0]) if swd_held else 0,
        subjects=len(np.unique(subject)),
        held_subjects=len(np.unique(subject[held])),
        halvings=times,
        encoder=dict(encoder.about),
        ssim=settings,
    )


def spread(subject: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Select at most `most` rows, ascending, spread over subjects and over the slices of each.

    The images, sorted by subject, are cut into runs of equal length, and one image is drawn from each run, so every
    image is equally likely. If first and last slices were more likely than others, samples of a perfect model would be
    far from these images.
    """
    order = np.argsort(subject, kind="stable")
    if len(order) <= most:
        return np.arange(len(order))
    edges = np.arange(most + 1) * len(order) / most
    within = np.random.default_rng([seed, 3]).random(most)
    drawn = (edges[:-1] + within * np.diff(edges)).astype(int)
    return np.unique(order[drawn])  # an image on the edge of two runs may be drawn twice


def _swd_count(real: ImageSet) -> int:
    """Number of images per set such that two halves and the generated images fit in `_SWD_BYTES`."""
    channels = real.images.shape[1] + real.fractions.shape[1]
    one = 2 * channels * real.images.shape[2] * real.images.shape[3]
    return max(NEAREST + 1, min(SWD_COUNT, _SWD_BYTES // (3 * one)))


def _features(encoder: FeatureEncoder, images: np.ndarray, rows: np.ndarray, step: Progress) -> np.ndarray:
    parts = []
    for start in range(0, len(rows), _FEATURE_CHUNK):
        parts.append(encoder.features(images[rows[start : start + _FEATURE_CHUNK]]))
        step(min(start + _FEATURE_CHUNK, len(rows)), len(rows))
    return np.concatenate(parts)


def _feature_metrics(
    real: np.ndarray, generated: np.ndarray, comparisons: Sequence[Comparison], seed: int
) -> dict[str, WithBaseline]:
    def distances(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        return {"frechet": frechet_distance(a, b), "kernel": kernel_distance(a, b, seed), **prdc(a, b)}

    return with_baseline(distances, real, generated, comparisons) if comparisons else {}


def _within_labels(real: ImageSet, generated: ImageSet, both: Sequence[Sequence[Comparison]]) -> list[_Found]:
    """Empty if a set has no label at all."""
    sets = (real.images, real.fractions), (generated.images, generated.fractions)
    found = [within_labels(*sets, comparisons) for comparisons in both]
    if not real.fractions.shape[1] or not np.isfinite(found[0]).all():
        return []
    halves, held = (WithBaseline.of(*zip(*some, strict=True)) if some else None for some in found)
    assert halves is not None
    return [("intensity", "labels", "", halves, held if np.isfinite(found[1]).all() else None)]


def _of_rows(comparisons: Sequence[Comparison], rows: np.ndarray) -> list[Comparison]:
    """Convert indices into `rows` to rows of the real images."""
    return [Comparison(c.generated, rows[c.other], rows[c.reference]) for c in comparisons]


def _ssim(
    real: np.ndarray,
    rows: np.ndarray,
    generated: np.ndarray,
    both: Sequence[Sequence[Comparison]],
    seed: int,
    step: Progress,
) -> tuple[list[WithBaseline | None], str]:
    """Return MS-SSIM with its baselines, against halves and held-out subjects, and its settings as text.

    Real pairs have one image of each half, so their subjects differ.
    """
    factor = factor_below(real.shape[2:], _SSIM_LARGEST)
    shape = real.shape[2] // factor, real.shape[3] // factor
    settings = f"{shape[0]}×{shape[1]} pixels, {diversity.scales(shape)}"
    random = np.random.default_rng([seed, 2])
    result: list[WithBaseline | None] = []
    done, total = 0, len(both[0]) + len(both[1])
    for comparisons in both:
        alike: tuple[list[float], list[float]] = ([], [])
        for comparison in comparisons:
            made = diversity.pairs_within(comparison.generated, _SSIM_PAIRS, random)
            found = diversity.pairs_across(rows[comparison.other], rows[comparison.reference], _SSIM_PAIRS, random)
            for images, (first, second), out in ((generated, made, alike[0]), (real, found, alike[1])):
                out.append(float(diversity.ms_ssim(*(shrink(images[x], factor) for x in (first, second))).mean()))
            done += 1
            step(done, total)
        result.append(WithBaseline.of(*alike) if comparisons else None)
    return result, settings


def _swd(
    real: ImageSet,
    generated: ImageSet,
    modalities: Sequence[str],
    comparisons: Sequence[Comparison],
    times: int,
    seed: int,
    step: Progress,
) -> list[_Found]:
    """The first `times` comparisons are of halves, the others of held-out subjects; they share one pyramid."""
    count, labels = len(modalities), real.fractions.shape[1]
    groups: dict[str, Sequence[int]] = {"joint": range(count + labels)} if labels or count > 1 else {}
    groups |= {name: [i] for i, name in enumerate(modalities)}
    if labels:
        groups["labels"] = range(count, count + labels)
    found = swd_with_baseline(
        [real.images, real.fractions],
        [generated.images, generated.fractions],
        comparisons,
        groups,
        patches=_SWD_PATCHES,
        projections=_SWD_PROJECTIONS,
        seed=seed,
        progress=step,
    )
    halves, held = summarise(found[:times]), summarise(found[times:]) if found[times:] else None
    return [
        ("swd", group, level, metric, held[group][level] if held else None)
        for group, levels in halves.items()
        for level, metric in levels.items()
    ]


def _figure(measure: str, channels: str, level: str, halves: WithBaseline, held: WithBaseline | None) -> Figure:
    text = describe_metric(measure, channels, level)
    return Figure(measure, channels, level, text.name, text.better, text.says, halves, held)


def _part(progress: Progress | None, name: str, index: int = 0, parts: int = 1) -> Progress:
    """Return a callback that reports the progress of a step (or of one of its `parts`) as progress of the whole."""
    names, share = list(_SHARES), _SHARES[name] / parts
    before = sum(_SHARES[x] for x in names[: names.index(name)]) + share * index

    def step(done: int, total: int) -> None:
        if progress:
            progress(round(before + share * done / total), sum(_SHARES.values()))

    return step
