"""Memorisation: does a model reproduce its training images?

For every generated image, the nearest training image is searched, including flips, by pixel correlation and, if given,
by features. Smooth or common images are close to everything, so the criterion is the ratio of that distance to the
distance of the nearest images of *other* real subjects (as in Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94, for
key points; copies as images closer to the training set than to other real data: Meehan et al. 2020, arXiv:2004.05675).
The ratio is far below 1 for a copy and about 1 for an image of a new subject. With too few subjects, the distance
decides.

Held-out real subjects set the threshold (`thresholds.threshold`): a generated image below it is closer to a training
subject than any of that many images of new subjects would be. Each run tests the sensitivity on planted copies, and
false alarms on one half of the held-out subjects with thresholds from the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from napari_pgan.errors import InputError
from napari_pgan.evaluation.matching import Known
from napari_pgan.evaluation.memorisation.copies import CANNOT_TELL, MANY, NONE, SOME, Memorisation, Pair, Rule
from napari_pgan.evaluation.memorisation.nearest import (
    FLIPS,
    Features,
    FeatureSimilarity,
    Nearest,
    NearestSearch,
    PixelSimilarity,
    SubjectImages,
    distances,
    reduced,
)
from napari_pgan.evaluation.memorisation.planted import KINDS, plant
from napari_pgan.evaluation.memorisation.thresholds import false_alarms, rule_of, share_nearer, threshold

__all__ = ["CANNOT_TELL", "MANY", "NONE", "SOME", "Memorisation", "Pair", "Rule", "measure_memorisation"]

_OTHERS = 3  # nearest other subjects whose mean distance is the denominator of the ratio
_NOISE = 0.1  # added to both distances, so that nearly empty images have no small ratio
_HELD_OUT = 1000  # maximum number of held-out images that are searched
_PLANTED = 32  # copies per kind
_KNOWN = 256  # training images for planting and for scaling the features
_LARGE_SHARE = 0.2
_UNKNOWN = {
    "some": "the model was also trained on others",
    "none": "the model card names other training subjects, or the same ones under another salt",
    "unstated": "the model card does not name its training subjects",
}
_WEAK = 0.5  # share of planted copies of each kind that must be found to rule out copies


@dataclass
class _View:
    """A similarity and its results for every query: samples, then held-out, then planted images."""

    name: str
    likeness: PixelSimilarity | FeatureSimilarity
    search: NearestSearch
    nearest: Nearest = field(init=False)
    distance: np.ndarray = field(init=False)  # (queries,)
    ratio: np.ndarray | None = None  # (queries,); None with too few subjects

    def figures(self) -> dict[str, np.ndarray]:
        """Quantities that rules are based on."""
        return {"distance": self.distance} if self.ratio is None else {"ratio": self.ratio, "distance": self.distance}


def measure_memorisation(
    train: SubjectImages,
    held_out: SubjectImages,
    samples: np.ndarray,
    features: Features | None = None,
    *,
    known: Known = "all",
    seed: int = 0,
    pairs: int = 12,
    progress: Callable[[int, int], None] | None = None,
) -> Memorisation:
    """Search for copies of training images among generated images.

    Parameters
    ----------
    train
        (images (n, M, Y, X) in [-1, 1], subject key) for every training subject. Iterated twice, so a generator is not
        accepted. One subject is in memory at a time.
    held_out
        The same for subjects the model has not seen. Iterated once.
    samples
        Generated images (N, M, Y, X).
    features
        (n, M, Y, X) → (n, D), also of flipped images; None: pixels only.
    known
        Which of the model's training subjects are in `train`, as in `Match`. Copies are reported in any case; only
        ``"all"`` allows the verdict that there are none.
    seed
        Seed of the choice of held-out images and planted copies.
    pairs
        Number of closest pairs to report.
    progress
        Called with (done, total) subjects.

    Raises
    ------
    InputError
        There are no training or generated images, shapes differ, or a subject is both held out and in `train`.
    """
    random = np.random.default_rng(seed)
    if iter(train) is train:
        raise TypeError("training images are iterated twice; pass a list or another re-iterable")
    if samples.ndim != 4 or not len(samples):
        raise InputError(f"generated images of shape {samples.shape} cannot be searched for copies; pass (N, M, Y, X)")
    mean, drawn, counts = _scan_training(train, samples.shape[1:], random)
    likenesses: dict[str, PixelSimilarity | FeatureSimilarity] = {"pixels": PixelSimilarity(mean)}
    if features is not None:
        likenesses["features"] = FeatureSimilarity(features, drawn)

    held_keys, held_prepared, judged, judged_subject = _scan_held_out(held_out, samples.shape[1:], likenesses, random)
    if both := sorted(set(held_keys) & set(counts)):
        raise InputError(f"subject {both[0]} is both a training and a held-out subject; hold out others")
    planted, planted_kind = _plant(drawn, random)

    views = []
    for name, likeness in likenesses.items():
        queries = [likeness.flipped(part) for part in (samples, judged, planted) if len(part)]
        views.append(_View(name, likeness, NearestSearch(np.concatenate(queries, axis=1))))
    for done, (images, _) in enumerate(train, 1):
        for view in views:
            view.search.add_subject(view.likeness.poses(view.likeness.prepare(images)))
        if progress:
            progress(done, len(counts))
    for view in views:
        for prepared in held_prepared[view.name]:
            view.search.add_subject(view.likeness.poses(prepared))
    sets = np.repeat([0, 1, 2], [len(samples), len(judged), len(planted)])
    own = np.full(len(sets), -1)
    own[sets == 1] = len(counts) + judged_subject
    others = min(_OTHERS, len(counts) + len(held_keys) - 2)  # the same number for held-out and generated images
    for view in views:
        _rate(view, len(counts), own, others)

    rules, deciding, copy = [], [], np.zeros(len(sets), bool)
    judgements = len(views) * len(samples)
    closeness = np.full(len(samples), np.inf)
    for view in views:
        for quantity, values in view.figures().items():
            decides = quantity == "ratio" or view.ratio is None
            limit = threshold(values[sets == 1], judgements) if len(judged) else 1.0
            if len(judged):
                rules.append(rule_of(view.name, quantity, decides, limit, values[sets == 0], values[sets == 1]))
            if decides:
                deciding.append(values[sets == 1])
                copy |= (values < limit) & bool(rules)
                closeness = np.minimum(closeness, values[sets == 0] / limit)
    flagged = np.flatnonzero(copy[sets == 0])
    found = {}
    if rules:
        hits = copy[sets == 2]
        found = {kind: (int(hits[planted_kind == kind].sum()), int((planted_kind == kind).sum())) for kind in KINDS}
    alarms = false_alarms(deciding, judged_subject, len(held_keys))
    distance = views[0].distance
    nearer = share_nearer(distance[sets == 0], distance[sets == 1], judged_subject, len(held_keys), random)
    notes = _notes(len(held_keys), len(judged), others, features is not None, known)
    verdict, sentence = _verdict(len(flagged), len(samples), rules, found, alarms, known)
    closest = np.argsort(closeness, kind="stable")[:pairs]
    return Memorisation(
        verdict=verdict,
        sentence=sentence,
        samples=len(samples),
        copies=len(flagged),
        flagged=tuple(int(i) for i in flagged),
        training_images=sum(counts.values()),
        training_subjects=len(counts),
        held_out_images=sum(len(images) for images in held_prepared["pixels"]),
        held_out_subjects=len(held_keys),
        rules=tuple(rules),
        false_alarms=alarms,
        found=found,
        nearer=nearer[0],
        nearer_low=nearer[1],
        nearer_high=nearer[2],
        pairs=tuple(_pair(int(i), views, list(counts), rules, bool(copy[i])) for i in closest),
        notes=notes,
    )


def _scan_training(
    train: SubjectImages, shape: tuple[int, ...], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """The mean reduced image, a random sample of images, and the number of images per subject."""
    total: np.ndarray | None = None
    counts: dict[str, int] = {}
    drawn = _RandomSample(_KNOWN, random)
    for images, key in train:
        _check(images, shape, key)
        if key in counts:
            raise InputError(f"training subject {key} is given twice; pass all its images at once")
        part = reduced(images).sum(axis=0, dtype=np.float64)
        total = part if total is None else total + part
        counts[key] = len(images)
        drawn.add(images, 0)
    if total is None:
        raise InputError("there are no training images to compare with; pass at least one subject")
    return (total / sum(counts.values())).astype(np.float32), drawn.images(), counts


def _scan_held_out(
    held_out: SubjectImages,
    shape: tuple[int, ...],
    likenesses: Mapping[str, PixelSimilarity | FeatureSimilarity],
    random: np.random.Generator,
) -> tuple[list[str], dict[str, list[np.ndarray]], np.ndarray, np.ndarray]:
    """Subject keys, prepared images per view and subject, the images to search, and their subjects."""
    keys: list[str] = []
    prepared: dict[str, list[np.ndarray]] = {name: [] for name in likenesses}
    drawn = _RandomSample(_HELD_OUT, random)
    for images, key in held_out:
        _check(images, shape, key)
        for name, likeness in likenesses.items():
            prepared[name].append(likeness.prepare(images))
        drawn.add(images, len(keys))
        keys.append(key)
    return keys, prepared, drawn.images() if keys else np.empty((0, *shape), np.float32), drawn.owners()


class _RandomSample:
    """Random sample of a fixed number of images from a stream."""

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self._count, self._random = count, random
        self._drawn: list[tuple[float, int, np.ndarray]] = []

    def add(self, images: np.ndarray, owner: int) -> None:
        lots = self._random.random(len(images))
        self._drawn += [(lot, owner, image.astype(np.float16)) for lot, image in zip(lots, images, strict=True)]
        self._drawn = sorted(self._drawn, key=lambda entry: entry[0])[: self._count]

    def images(self) -> np.ndarray:
        return np.stack([image for _, _, image in self._drawn])

    def owners(self) -> np.ndarray:
        return np.array([owner for _, owner, _ in self._drawn], np.int64)


def _plant(known: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Planted copies of every kind, and the kind of each."""
    parts = [plant(known[random.permutation(len(known))[:_PLANTED]], kind, random) for kind in KINDS]
    return np.concatenate(parts), np.repeat(list(KINDS), [len(part) for part in parts])


def _rate(view: _View, training: int, own: np.ndarray, others: int) -> None:
    """Compute distances to the nearest training subject, and their ratio to distances to other real subjects."""
    view.nearest = view.search.result()
    away = distances(view.nearest.correlation)  # (queries, subjects), training ones first
    rows = np.arange(len(away))
    mine = own >= 0
    away[rows[mine], own[mine]] = np.inf
    first = away[:, :training].argmin(axis=1)
    view.distance = away[rows, first]
    if others > 0:
        away[rows, first] = np.inf
        other = np.partition(away, others - 1, axis=1)[:, :others].mean(axis=1)
        view.ratio = (view.distance + _NOISE) / (other + _NOISE)


def _pair(sample: int, views: list[_View], keys: list[str], rules: list[Rule], copy: bool) -> Pair:
    limits = {rule.view: rule.threshold for rule in rules if rule.decides}

    def suspicion(view: _View) -> float:
        values = view.distance if view.ratio is None else view.ratio
        return float(values[sample]) / limits.get(view.name, 1.0)

    by = min(views, key=suspicion)
    subject = int(by.nearest.correlation[sample, : len(keys)].argmax())
    pixels = views[0].nearest
    ratios = {v.name: float(v.ratio[sample]) if v.ratio is not None else float("nan") for v in views}
    return Pair(
        sample=sample,
        subject=keys[subject],
        slice_index=int(by.nearest.slice_index[sample, subject]),
        flip=FLIPS[by.nearest.flip[sample, subject]],
        correlation=float(pixels.correlation[sample, subject]),
        ratio=ratios["pixels"],
        feature_ratio=ratios.get("features", float("nan")),
        copy=copy,
        by=by.name,
    )


def _verdict(
    copies: int,
    samples: int,
    rules: list[Rule],
    found: dict[str, tuple[int, int]],
    alarms: tuple[int, int],
    known: Known,
) -> tuple[str, str]:
    if not rules:
        return (
            CANNOT_TELL,
            "Inconclusive: no real subject is held out to show how close images of new subjects are.",
        )
    hits, tried = (sum(n) for n in zip(*found.values(), strict=True))
    worst = min(found, key=lambda kind: found[kind][0] / found[kind][1])
    few, of = found[worst]
    trial = (
        f"As a test, {tried} modified copies were planted; {hits} were found ({100 * hits / tried:.0f} %), and "
        f"{few} of {of} of the most difficult kind ({worst})"
    )
    if not copies and known != "all":
        return CANNOT_TELL, (
            f"Inconclusive: none of {samples:,} samples is a near-copy of an image of this store's training subjects, "
            f"but {_UNKNOWN[known]}."
        )
    if not copies and few < _WEAK * of:
        return CANNOT_TELL, f"Inconclusive. {trial}."
    if alarms[1]:
        trial += f". Of {alarms[1]:,} images of held-out subjects, {alarms[0]} were mistaken for copies"
    if not copies:
        return NONE, f"None of {samples:,} samples is closer to a training subject than expected by chance. {trial}."
    share, are = 100 * copies / samples, "is a near-copy" if copies == 1 else "are near-copies"
    whose = "images of training subjects" if known == "all" else "images of this store's training subjects"
    what = f"{copies:,} of {samples:,} samples {are} of {whose} ({share:.1f} %). {trial}."
    return MANY if copies >= _LARGE_SHARE * samples else SOME, what


def _notes(subjects: int, images: int, others: int, with_features: bool, known: Known) -> tuple[str, ...]:
    notes = []
    if known != "all":
        notes.append(f"The search covers this store's training subjects; {_UNKNOWN[known]}.")
    if not images:
        notes.append("No subject was held out.")
    elif subjects < 3:
        plural = "" if subjects == 1 else "s"
        notes.append(f"The threshold is based on only {subjects} held-out subject{plural}.")
    elif images < 100:
        notes.append(f"The threshold is based on only {images} held-out images, which makes it lower.")
    if others < 1:
        notes.append(
            "There are too few subjects for distance ratios; the distance to the nearest training image decides."
        )
    if not with_features:
        notes.append("The search uses pixels only, no features.")
    return tuple(notes)


def _check(images: np.ndarray, shape: tuple[int, ...], key: str) -> None:
    if images.shape[1:] != shape or not len(images):
        raise InputError(
            f"images {images.shape} of subject {key} cannot be compared with generated images of {shape}; both need "
            "the same modalities and size"
        )
