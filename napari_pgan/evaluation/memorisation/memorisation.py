"""Does a model give its training images away?

For every generated image the nearest of all training images is sought, flips included, by the correlation of what sets
images apart and, where features are given, among those. Smooth or common pictures are near to everything, so what
counts is the ratio of that distance to the distance of the nearest images of *other* real subjects (as in Lowe 2004,
doi:10.1023/B:VISI.0000029664.99615.94, for matches of key points; copies as a shorter way to the training set than to
other real data: Meehan et al. 2020, arXiv:2004.05675). A copy has a ratio far below 1, a new patient's image one near
1. Where there are too few subjects for it, the distance alone decides.

Held-out real subjects say what is usual: a generated image that is nearer to a training subject than any of so many
new patients' images would be is taken for a copy (`usual.threshold`). Whether that asks for too much is tried each
time, on copies planted for it; whether for too little, by letting half of the held-out subjects judge the other half.
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

_OTHERS = 3  # other subjects whose mean distance the nearest one's is held against
_NOISE = 0.1  # added to both distances, so that pictures with little on them, all near to all, show no small ratio
_HELD_OUT = 1000  # images of held-out subjects that are judged, at most
_PLANTED = 32  # copies of each kind
_KNOWN = 256  # training images kept: for planting, and for the mean of the features
_LARGE_SHARE = 0.2
_UNKNOWN = {
    "some": "the model was trained on others, too",
    "none": "the model's card names other training subjects, or the same ones under another salt",
    "unstated": "the model's card does not say whom it was trained on",
}
_WEAK = 0.5  # a search that finds fewer of any kind of planted copies cannot acquit


@dataclass
class _View:
    """One way of looking at images, and what it says of every query: samples, then held-out, then planted."""

    name: str
    likeness: PixelSimilarity | FeatureSimilarity
    search: NearestSearch
    nearest: Nearest = field(init=False)
    distance: np.ndarray = field(init=False)  # (queries,)
    ratio: np.ndarray | None = None  # (queries,); None with too few subjects

    def figures(self) -> dict[str, np.ndarray]:
        """What the rules are of."""
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
    """Look for copies of training images among generated ones.

    Parameters
    ----------
    train
        (images (n, M, Y, X) in [-1, 1], subject's key) for every subject that the model was trained on; gone through
        twice, so no generator. One subject is in memory at a time.
    held_out
        The same of subjects that the model has not seen; gone through once.
    samples
        Generated images (N, M, Y, X).
    features
        (n, M, Y, X) → (n, D), of images that may be flipped; None: pixels alone.
    known
        How many of the subjects that the model learnt from `train` holds, as in `Match`. Copies are copies whoever
        learnt from whom; only where it is ``"all"`` can finding none acquit.
    seed
        Which held-out images are judged and which copies are planted.
    pairs
        How many of the closest pairs are named.
    progress
        Called with (done, all) subjects.

    Raises
    ------
    InputError
        No training or generated images, images of other shapes, or a held-out subject that is a training subject, too.
    """
    random = np.random.default_rng(seed)
    if iter(train) is train:
        raise TypeError("training images are gone through twice: give something that starts anew, such as a list")
    if samples.ndim != 4 or not len(samples):
        raise InputError(f"generated images of shape {samples.shape} cannot be searched for copies; give (N, M, Y, X)")
    mean, drawn, counts = _survey(train, samples.shape[1:], random)
    likenesses: dict[str, PixelSimilarity | FeatureSimilarity] = {"pixels": PixelSimilarity(mean)}
    if features is not None:
        likenesses["features"] = FeatureSimilarity(features, drawn)

    held_keys, held_kept, judged, judged_subject = _hold_out(held_out, samples.shape[1:], likenesses, random)
    if both := sorted(set(held_keys) & set(counts)):
        raise InputError(f"the subject {both[0]} is among the training and the held-out ones; hold others out")
    planted, planted_kind = _plant(drawn, random)

    views = []
    for name, likeness in likenesses.items():
        queries = [likeness.flipped(part) for part in (samples, judged, planted) if len(part)]
        views.append(_View(name, likeness, NearestSearch(np.concatenate(queries, axis=1))))
    for done, (images, _) in enumerate(train, 1):
        for view in views:
            view.search.show(view.likeness.poses(view.likeness.kept(images)))
        if progress:
            progress(done, len(counts))
    for view in views:
        for kept in held_kept[view.name]:
            view.search.show(view.likeness.poses(kept))
    sets = np.repeat([0, 1, 2], [len(samples), len(judged), len(planted)])
    own = np.full(len(sets), -1)
    own[sets == 1] = len(counts) + judged_subject
    others = min(_OTHERS, len(counts) + len(held_keys) - 2)  # as many for a held-out image as for a generated one
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
        held_out_images=sum(len(kept) for kept in held_kept["pixels"]),
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


def _survey(
    train: SubjectImages, shape: tuple[int, ...], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """The mean reduced image, some of the images drawn at random, and how many each subject has."""
    total: np.ndarray | None = None
    counts: dict[str, int] = {}
    drawn = _Drawn(_KNOWN, random)
    for images, key in train:
        _check(images, shape, key)
        if key in counts:
            raise InputError(f"the training subject {key} was given twice; give all its images at once")
        part = reduced(images).sum(axis=0, dtype=np.float64)
        total = part if total is None else total + part
        counts[key] = len(images)
        drawn.offer(images, 0)
    if total is None:
        raise InputError("there are no training images to compare with; give one subject at least")
    return (total / sum(counts.values())).astype(np.float32), drawn.images(), counts


def _hold_out(
    held_out: SubjectImages,
    shape: tuple[int, ...],
    likenesses: Mapping[str, PixelSimilarity | FeatureSimilarity],
    random: np.random.Generator,
) -> tuple[list[str], dict[str, list[np.ndarray]], np.ndarray, np.ndarray]:
    """Keys, what each view keeps of every subject, the images that are judged, and whose they are."""
    keys: list[str] = []
    seen: dict[str, list[np.ndarray]] = {name: [] for name in likenesses}
    drawn = _Drawn(_HELD_OUT, random)
    for images, key in held_out:
        _check(images, shape, key)
        for name, likeness in likenesses.items():
            seen[name].append(likeness.kept(images))
        drawn.offer(images, len(keys))
        keys.append(key)
    return keys, seen, drawn.images() if keys else np.empty((0, *shape), np.float32), drawn.owners()


class _Drawn:
    """An even draw of so many of the images that pass by."""

    def __init__(self, count: int, random: np.random.Generator) -> None:
        self._count, self._random = count, random
        self._kept: list[tuple[float, int, np.ndarray]] = []

    def offer(self, images: np.ndarray, owner: int) -> None:
        lots = self._random.random(len(images))
        self._kept += [(lot, owner, image.astype(np.float16)) for lot, image in zip(lots, images, strict=True)]
        self._kept = sorted(self._kept, key=lambda kept: kept[0])[: self._count]

    def images(self) -> np.ndarray:
        return np.stack([image for _, _, image in self._kept])

    def owners(self) -> np.ndarray:
        return np.array([owner for _, owner, _ in self._kept], np.int64)


def _plant(known: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Copies of every kind, and which kind each is."""
    parts = [plant(known[random.permutation(len(known))[:_PLANTED]], kind, random) for kind in KINDS]
    return np.concatenate(parts), np.repeat(list(KINDS), [len(part) for part in parts])


def _rate(view: _View, training: int, own: np.ndarray, others: int) -> None:
    """Distances to the nearest training subject, and their ratio to those to other real subjects."""
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
            "It cannot be told: no real subject was held out to say how near a new patient's images are.",
        )
    hits, tried = (sum(n) for n in zip(*found.values(), strict=True))
    worst = min(found, key=lambda kind: found[kind][0] / found[kind][1])
    few, of = found[worst]
    trial = (
        f"Of {tried} damaged copies planted as a trial {hits} were found ({100 * hits / tried:.0f} %), and "
        f"{few} of {of} of the kind that it finds worst ({worst})"
    )
    if not copies and known != "all":
        return CANNOT_TELL, (
            f"It cannot be told: none of {samples:,} samples is a near-copy of an image of this store's training "
            f"subjects, but {_UNKNOWN[known]}."
        )
    if not copies and few < _WEAK * of:
        return CANNOT_TELL, f"It cannot be told whether there are copies: {trial[0].lower()}{trial[1:]}."
    if alarms[1]:
        trial += f"; of {alarms[1]:,} images of held-out subjects {alarms[0]} when one half of them judged the other"
    if not copies:
        return NONE, f"None of {samples:,} samples is nearer to a training subject than chance allows. {trial}."
    share, are = 100 * copies / samples, "is a near-copy" if copies == 1 else "are near-copies"
    whose = "a training subject's images" if known == "all" else "images of this store's training subjects"
    what = f"{copies:,} of {samples:,} samples {are} of {whose} ({share:.1f} %). {trial}."
    return MANY if copies >= _LARGE_SHARE * samples else SOME, what


def _notes(subjects: int, images: int, others: int, with_features: bool, known: Known) -> tuple[str, ...]:
    notes = []
    if known != "all":
        notes.append(f"The search is among this store's training subjects; {_UNKNOWN[known]}.")
    if not images:
        notes.append("No subject was held out.")
    elif subjects < 3:
        notes.append(f"Only {subjects} held-out {'subject says' if subjects == 1 else 'subjects say'} what is usual.")
    elif images < 100:
        notes.append(f"Only {images} held-out images say what is usual; the thresholds are lower for it.")
    if others < 1:
        notes.append("There are too few subjects to compare with others; the nearest distance alone decides.")
    if not with_features:
        notes.append("Pixels alone were looked at, no features.")
    return tuple(notes)


def _check(images: np.ndarray, shape: tuple[int, ...], key: str) -> None:
    if images.shape[1:] != shape or not len(images):
        raise InputError(
            f"images {images.shape} of the subject {key} cannot be compared with generated ones of {shape}; "
            "give both the same modalities and size"
        )
