"""Likeness: how near are a model's images to real ones, each figure beside its floor?

Several measures, since each is blind to something: see `swd`, `intensities`, `frechet`, `prdc`, `diversity`; floors are
of `halves`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness import diversity
from napari_pgan.evaluation.likeness.descriptions import words
from napari_pgan.evaluation.likeness.features import FeatureEncoder, factor_below, shrink
from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.frechet import frechet_distance, kernel_distance
from napari_pgan.evaluation.likeness.intensities import within_labels
from napari_pgan.evaluation.likeness.prdc import NEAREST, prdc
from napari_pgan.evaluation.likeness.split_half import Comparison, WithBaseline, beside, halvings, held_out
from napari_pgan.evaluation.likeness.swd import summarise, swd_with_baseline

COUNT = 2000  # images of a set at most, for measures on features
SWD_COUNT = 1000  # for the sliced Wasserstein distance, where images are large fewer
_SWD_BYTES = 768 * 2**20  # of its images in half precision
_SWD_PATCHES, _SWD_PROJECTIONS = 32, 128
_SSIM_PAIRS = 100  # a halving
_SSIM_LARGEST = 64  # pixels
_HELD_DRAWS = 3
_FEATURE_CHUNK = 512
_SHARES = {"features": 15, "feature measures": 15, "labels": 3, "ms-ssim": 20, "swd": 47}  # of the time, in hundredths

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
        (N, K, Y, X) in 0 to 1, a channel a label; of generated images the labels as a user gets them, 0 or 1.
    """

    images: np.ndarray
    fractions: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def rows(self, rows: np.ndarray) -> ImageSet:
        """Some of them."""
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
    """Compare a model's images with real ones.

    Parameters
    ----------
    real, generated
        Of the same channels and size. They are read in parts, and may lie on disk.
    subject
        (R,), whose image each real one is.
    held
        bool (R,): of a subject that the model has not seen.
    modalities
        Their names, (M,).
    encoder
        Makes the features.
    times
        Halvings.
    seed
        Decides halves, draws, patches and directions; equal input and seed give equal figures.
    progress
        Called with (done, all).

    Raises
    ------
    InputError
        There are fewer than two real subjects, too few images, or real and generated ones are not of the same kind.
    """
    if real.images.shape[1:] != generated.images.shape[1:] or len(modalities) != real.images.shape[1]:
        raise InputError(
            f"real images of shape {real.images.shape} and generated ones of {generated.images.shape} cannot be "
            f"compared; both need {len(modalities)} modalities and one size"
        )
    told = _Shares(progress)
    rows = spread(subject, 2 * COUNT, seed)
    trios = halvings(subject[rows], min(len(generated), COUNT), times=times, seed=seed)
    held_trios = held_out(held[rows], min(len(generated), COUNT), times=_HELD_DRAWS, seed=seed)
    least = min(len(trio) for trio in [*trios, *held_trios])
    if least <= NEAREST:
        raise InputError(
            f"sets of {least} images are too few to compare; give more slices of each subject, or more samples"
        )
    drawn = np.arange(min(len(generated), COUNT))
    real_features = _features(encoder, real.images, rows, told.part("features", 0, 2))
    made_features = _features(encoder, generated.images, drawn, told.part("features", 1, 2))
    step, every = told.part("feature measures"), [trios, held_trios]
    halves, others = (_on_features(real_features, made_features, some, seed) for some in every)
    step(1, 1)
    found: list[_Found] = [(name, "images", "", halves[name], others.get(name)) for name in halves]
    found += _within_labels(real, rows, generated, trios, held_trios)
    told.part("labels")(1, 1)
    step = told.part("ms-ssim")
    alike, through = _ssim(real.images, rows, generated.images, every, seed, step)
    assert alike[0] is not None
    found.append(("ms-ssim", "images", "", alike[0], alike[1]))

    swd_rows = spread(subject, 2 * _swd_count(real), seed)
    most = min(len(generated), _swd_count(real))
    swd_trios = halvings(subject[swd_rows], most, times=times, seed=seed)
    swd_held = held_out(held[swd_rows], most, times=_HELD_DRAWS, seed=seed)
    found += _swd(real, swd_rows, generated, modalities, swd_trios, swd_held, seed, told.part("swd"))
    order = {name: i for i, name in enumerate(("swd", "intensity", "frechet", "kernel"))}
    found.sort(key=lambda one: order.get(one[0], len(order)))
    return Likeness(
        tuple(_figure(*one) for one in found),
        images=len(trios[0]),
        swd_images=len(swd_trios[0]),
        held_images=len(held_trios[0]) if held_trios else 0,
        held_swd_images=len(swd_held[0]) if swd_held else 0,
        subjects=len(np.unique(subject)),
        held_subjects=len(np.unique(subject[held])),
        halvings=times,
        encoder=dict(encoder.about),
        ssim=through,
    )


def spread(subject: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Rows of at most `most` images, ascending, spread over subjects and over the slices of each.

    The images, subject after subject, are cut into as many runs of equal length, and one is drawn of each run: so every
    image is as likely to be among them as any other. First and last slices must not come more often than others, or
    samples of a perfect model would be far from these images.
    """
    order = np.argsort(subject, kind="stable")
    if len(order) <= most:
        return np.arange(len(order))
    edges = np.arange(most + 1) * len(order) / most
    within = np.random.default_rng([seed, 3]).random(most)
    drawn = (edges[:-1] + within * np.diff(edges)).astype(int)
    return np.unique(order[drawn])  # where runs meet in the middle of an image, it may be drawn twice


def _swd_count(real: ImageSet) -> int:
    """Images of a set, so that two halves and as many generated ones fit the memory that is meant for them."""
    channels = real.images.shape[1] + real.fractions.shape[1]
    one = 2 * channels * real.images.shape[2] * real.images.shape[3]
    return max(NEAREST + 1, min(SWD_COUNT, _SWD_BYTES // (3 * one)))


def _features(encoder: FeatureEncoder, images: np.ndarray, rows: np.ndarray, step: Progress) -> np.ndarray:
    parts = []
    for start in range(0, len(rows), _FEATURE_CHUNK):
        parts.append(encoder.features(images[rows[start : start + _FEATURE_CHUNK]]))
        step(min(start + _FEATURE_CHUNK, len(rows)), len(rows))
    return np.concatenate(parts)


def _on_features(
    real: np.ndarray, generated: np.ndarray, trios: Sequence[Comparison], seed: int
) -> dict[str, WithBaseline]:
    if not trios:
        return {}

    def distances(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        return {"frechet": frechet_distance(a, b), "kernel": kernel_distance(a, b, seed), **prdc(a, b)}

    return beside(distances, real, generated, trios)


def _within_labels(
    real: ImageSet, rows: np.ndarray, generated: ImageSet, trios: Sequence[Comparison], held: Sequence[Comparison]
) -> list[_Found]:
    """None where a set has no label at all."""
    pair = [(x.images, x.fractions) for x in (real, generated)]
    every = [within_labels(pair[0], pair[1], _moved(some, rows)) for some in (trios, held)]
    if not real.fractions.shape[1] or not np.isfinite(every[0]).all():
        return []
    halves, others = (WithBaseline.of(*zip(*some, strict=True)) if some else None for some in every)
    if others is not None and not np.isfinite(every[1]).all():
        others = None
    assert halves is not None
    return [("intensity", "labels", "", halves, others)]


def _moved(trios: Sequence[Comparison], rows: np.ndarray) -> list[Comparison]:
    """Trios of `rows` as trios of all real images."""
    return [Comparison(t.generated, rows[t.other], rows[t.reference]) for t in trios]


def _ssim(
    real: np.ndarray,
    rows: np.ndarray,
    generated: np.ndarray,
    every: Sequence[Sequence[Comparison]],
    seed: int,
    step: Progress,
) -> tuple[list[WithBaseline | None], str]:
    """Figures for halves and for held-out subjects, and through what they are seen.

    Real pairs are of one image of each half, so of different subjects.
    """
    factor = factor_below(real.shape[2:], _SSIM_LARGEST)
    shape = real.shape[2] // factor, real.shape[3] // factor
    through = f"{shape[0]}×{shape[1]} pixels, {diversity.scales(shape)}"
    random = np.random.default_rng([seed, 2])
    result: list[WithBaseline | None] = []
    done, total = 0, sum(len(trios) for trios in every)
    for trios in every:
        alike: tuple[list[float], list[float]] = ([], [])
        for trio in trios:
            made = diversity.within(trio.generated, _SSIM_PAIRS, random)
            found = diversity.across(rows[trio.other], rows[trio.reference], _SSIM_PAIRS, random)
            for images, (first, second), out in ((generated, made, alike[0]), (real, found, alike[1])):
                out.append(float(diversity.similarities(*(shrink(images[x], factor) for x in (first, second))).mean()))
            done += 1
            step(done, total)
        result.append(WithBaseline.of(*alike) if trios else None)
    return result, through


def _swd(
    real: ImageSet,
    rows: np.ndarray,
    generated: ImageSet,
    modalities: Sequence[str],
    trios: Sequence[Comparison],
    held: Sequence[Comparison],
    seed: int,
    step: Progress,
) -> list[_Found]:
    count, labels = len(modalities), real.fractions.shape[1]
    groups: dict[str, Sequence[int]] = {"joint": range(count + labels)} if labels or count > 1 else {}
    groups |= {name: [i] for i, name in enumerate(modalities)}
    if labels:
        groups["labels"] = range(count, count + labels)
    # trios of different counts stand beside each other: each is measured by itself, all by one pyramid
    moved = _moved([*trios, *held], rows)
    found = swd_with_baseline(
        [real.images, real.fractions],
        [generated.images, generated.fractions],
        moved,
        groups,
        patches=_SWD_PATCHES,
        projections=_SWD_PROJECTIONS,
        seed=seed,
        progress=step,
    )
    halves, others = summarise(found[: len(trios)]), summarise(found[len(trios) :]) if held else None
    return [
        ("swd", group, level, figure, others[group][level] if others else None)
        for group, levels in halves.items()
        for level, figure in levels.items()
    ]


def _figure(measure: str, channels: str, level: str, halves: WithBaseline, held: WithBaseline | None) -> Figure:
    told = words(measure, channels, level)
    return Figure(measure, channels, level, told.name, told.better, told.says, halves, held)


class _Shares:
    """Parts of the work, each with its share of the whole, told as one."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress, self.before, self.name = progress, 0, ""

    def part(self, name: str, of: int = 0, parts: int = 1) -> Progress:
        """Takes the steps of a part (or of the `of`-th of its equal `parts`)."""
        names = list(_SHARES)
        before = sum(_SHARES[x] for x in names[: names.index(name)]) + _SHARES[name] * of / parts

        def step(done: int, total: int) -> None:
            if self.progress:
                self.progress(round(before + _SHARES[name] / parts * done / total), sum(_SHARES.values()))

        return step
