"""Copies are found, and images of new subjects are not mistaken for copies; tested on phantoms."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_pgan.errors import InputError
from napari_pgan.evaluation.matching import Known
from napari_pgan.evaluation.memorisation.copies import CANNOT_TELL, MANY, NONE, SOME, Memorisation
from napari_pgan.evaluation.memorisation.memorisation import measure_memorisation
from napari_pgan.evaluation.memorisation.nearest import FLIPS, PixelSimilarity, distances, flip, reduced
from napari_pgan.evaluation.memorisation.planted import DESCRIPTIONS, KINDS, plant
from napari_pgan.evaluation.memorisation.thresholds import threshold as threshold_of
from napari_pgan.evaluation.report.memorisation import memorisation_section
from napari_pgan.phantom import CHANNELS, make_subject

Subjects = list[tuple[np.ndarray, str]]


@pytest.fixture(scope="module")
def phantoms() -> Subjects:
    """Slices of twelve phantoms, 32 pixels a side."""
    subjects = []
    for seed in range(12):
        subject = make_subject(seed, size=32)
        images = np.stack([subject.images[name] for name in CHANNELS.modalities], axis=1)  # (Z, M, Y, X)
        images = np.clip(images / np.percentile(images, 99.9, axis=(0, 2, 3), keepdims=True) * 2 - 1, -1, 1)
        head = (images.max(axis=1) > -0.8).sum(axis=(1, 2))
        subjects.append((images[head > 0.5 * head.max()].astype(np.float32), f"subject{seed}"))
    return subjects


@pytest.fixture(scope="module")
def train(phantoms: Subjects) -> Subjects:
    return phantoms[:5]


@pytest.fixture(scope="module")
def held_out(phantoms: Subjects) -> Subjects:
    return phantoms[5:9]


@pytest.fixture(scope="module")
def new(phantoms: Subjects) -> np.ndarray:
    """Images of new subjects, like those of a perfect model."""
    return np.concatenate([images for images, _ in phantoms[9:]])


def planted_among(new: np.ndarray, train: Subjects, kind: str, count: int) -> tuple[np.ndarray, list[tuple[str, int]]]:
    """Return images of new subjects followed by copies, and the sources of the copies."""
    random = np.random.default_rng(7)
    origins = [(key, i) for images, key in train for i in range(len(images))]
    chosen = [origins[j] for j in random.permutation(len(origins))[:count]]
    by_key = {key: images for images, key in train}
    return np.concatenate([new, plant(np.stack([by_key[k][i] for k, i in chosen]), kind, random)]), chosen


def test_images_of_new_subjects_are_not_copies(train: Subjects, held_out: Subjects, new: np.ndarray) -> None:
    found = measure_memorisation(train, held_out, new)
    assert (found.verdict, found.copies) == (NONE, 0)
    assert 0.2 < found.nearer < 0.8
    assert found.nearer_low <= found.nearer <= found.nearer_high


def test_half_of_the_held_out_subjects_does_not_flag_the_other_half(train: Subjects, held_out: Subjects) -> None:
    for first, second in ((held_out[:2], held_out[2:]), (held_out[2:], held_out[:2])):
        assert measure_memorisation(train, first, np.concatenate([x for x, _ in second])).copies == 0


@pytest.mark.parametrize("kind", list(KINDS))
def test_only_copies_are_found_with_their_source(
    kind: str, train: Subjects, held_out: Subjects, new: np.ndarray
) -> None:
    samples, origins = planted_among(new, train, kind, 10)
    found = measure_memorisation(train, held_out, samples, pairs=len(samples))
    caught = list(found.flagged)
    assert len(caught) >= 9
    assert min(caught) >= len(new)
    named = {pair.sample: pair for pair in found.pairs}
    right = [named[i].subject == origins[i - len(new)][0] for i in caught]
    assert all(right)
    near = [abs(named[i].slice_index - origins[i - len(new)][1]) <= 1 for i in caught]
    assert np.mean(near) >= 0.9
    assert {pair.sample for pair in found.pairs[: len(caught)]} == set(caught)


def test_the_flip_is_reported(train: Subjects, held_out: Subjects, new: np.ndarray) -> None:
    images, key = train[2]
    copies = np.stack([flip(images[4], i) for i in range(4)])
    found = measure_memorisation(train, held_out, np.concatenate([copies, new]), pairs=4)
    pairs = sorted(found.pairs, key=lambda pair: pair.sample)
    assert [(p.sample, p.subject, p.slice_index, p.flip) for p in pairs] == [
        (i, key, 4, FLIPS[i]) for i in range(len(FLIPS))
    ]
    assert all(p.correlation > 0.999 and p.ratio < 0.3 for p in pairs)


def test_a_set_of_copies_reproduces_its_training_images(train: Subjects, held_out: Subjects) -> None:
    found = measure_memorisation(train, held_out, train[0][0])
    assert (found.verdict, found.copies) == (MANY, len(train[0][0]))
    assert found.nearer == 1


def test_features_find_copies_that_pixels_miss(train: Subjects, held_out: Subjects, new: np.ndarray) -> None:
    """The pixels of the copies are scrambled, and the features undo this."""
    shape = new.shape[1:]
    order = np.random.default_rng(0).permutation(int(np.prod(shape[1:])))
    scrambled = lambda x: x.reshape(*x.shape[:2], -1)[:, :, order].reshape(x.shape)  # noqa: E731
    back = np.argsort(order)
    ordered = lambda x: x.reshape(*x.shape[:2], -1)[:, :, back].reshape(x.shape)  # noqa: E731
    mark = lambda x: x.mean(axis=(1, 2, 3)) > 5  # noqa: E731

    def features(images: np.ndarray) -> np.ndarray:
        hidden = mark(images)[:, None, None, None]
        return reduced(np.where(hidden, ordered(images - 10), images)).reshape(len(images), -1)

    copies = scrambled(train[1][0][::4]) + 10
    samples = np.concatenate([new, copies]).astype(np.float32)
    assert measure_memorisation(train, held_out, samples).copies == 0
    found = measure_memorisation(train, held_out, samples, features, pairs=3)
    assert set(found.flagged) == set(range(len(new), len(samples)))
    assert {(pair.subject, pair.by) for pair in found.pairs} == {("subject1", "features")}


def test_copies_are_found_with_ten_images_of_one_subject(held_out: Subjects, phantoms: Subjects) -> None:
    ten = [(phantoms[0][0][:10], "one")]
    blurred = gaussian_filter(ten[0][0], (0, 0, 0.7, 0.7))
    assert measure_memorisation(ten, held_out, blurred).verdict == MANY
    assert measure_memorisation(ten, held_out, phantoms[10][0]).copies == 0


def test_without_other_subjects_the_distance_decides(phantoms: Subjects) -> None:
    samples = np.concatenate([phantoms[0][0][:2], phantoms[2][0]])
    found = measure_memorisation(phantoms[:1], phantoms[1:2], samples)
    assert found.flagged == (0, 1)
    assert [rule.quantity for rule in found.rules] == ["distance"]
    assert any("too few subjects" in note for note in found.notes)


def test_without_held_out_subjects_the_result_is_inconclusive(
    train: Subjects, held_out: Subjects, new: np.ndarray
) -> None:
    nobody = measure_memorisation(train, [], new, pairs=2)
    assert (nobody.verdict, nobody.rules, len(nobody.pairs)) == (CANNOT_TELL, (), 2)
    assert np.isnan(nobody.nearer)


@pytest.mark.parametrize("known", ["some", "none", "unstated"])
def test_copies_are_reported_even_if_the_training_subjects_are_unknown(
    known: Known, train: Subjects, held_out: Subjects, new: np.ndarray
) -> None:
    found = measure_memorisation(train, held_out, train[0][0], known=known)
    assert (found.verdict, found.copies) == (MANY, len(train[0][0]))
    assert memorisation_section(found.to_dict(), {}).verdict == "Poor"
    clear = measure_memorisation(train, held_out, new, known=known)
    assert (clear.verdict, clear.copies) == (CANNOT_TELL, 0)
    assert memorisation_section(clear.to_dict(), {}).verdict == "Cannot tell"
    text = " ".join([found.sentence, *found.notes])
    assert ("names other" in text) == (known == "none")  # not for a card that names no subjects


def test_a_single_copy_is_reported_as_one(train: Subjects, held_out: Subjects, new: np.ndarray) -> None:
    found = measure_memorisation(train, held_out, np.concatenate([new, train[3][0][2:3]]))
    assert (found.verdict, found.flagged) == (SOME, (len(new),))
    assert found.sentence.startswith(f"1 of {len(new) + 1} samples is a near-copy")


def test_a_search_that_misses_all_planted_copies_is_inconclusive(train: Subjects, held_out: Subjects) -> None:
    """The held-out images are training images under other names, so nearness means nothing."""
    twins = [(images, f"twin of {key}") for images, key in train]
    found = measure_memorisation(train, twins, held_out[0][0])
    assert (found.verdict, found.copies) == (CANNOT_TELL, 0)
    assert sum(hits for hits, _ in found.found.values()) == 0


def test_a_search_that_misses_one_kind_of_copies_is_inconclusive(
    train: Subjects, held_out: Subjects, new: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One kind of copies is unrecognisable; the others are found."""
    assert measure_memorisation(train, held_out, new).verdict == NONE
    noise = lambda images, random: random.uniform(-1, 1, images.shape).astype(np.float32)  # noqa: E731
    monkeypatch.setitem(KINDS, "noisy", noise)
    found = measure_memorisation(train, held_out, new)
    assert (found.verdict, found.copies) == (CANNOT_TELL, 0)
    assert sum(hits for hits, _ in found.found.values()) > 0.7 * sum(of for _, of in found.found.values())
    assert "of the most difficult kind (noisy)" in found.sentence


def test_poses_bring_a_rotated_or_zoomed_image_closer_to_its_original(train: Subjects) -> None:
    images, random = train[0][0], np.random.default_rng(0)
    likeness = PixelSimilarity(reduced(np.concatenate([x for x, _ in train])).mean(axis=0))
    poses = likeness.poses(likeness.prepare(images))
    np.testing.assert_allclose(poses[0], likeness(images), atol=1e-6)
    for kind in ("turned", "zoomed"):
        seen = likeness(KINDS[kind](images, random))
        product = np.einsum("pnd,nd->pn", poses, seen)
        plain, best = (np.median(distances(x)) for x in (product[0], product.max(axis=0)))
        assert best < 0.6 * plain


def test_every_kind_of_planted_copies_has_a_description() -> None:
    assert DESCRIPTIONS.keys() == KINDS.keys()


@pytest.mark.parametrize("held_out", [60, 1000])
def test_false_alarms_are_rare_for_any_number_of_images(held_out: int) -> None:
    """Few of 300 sets of 2,000 images, all as near as held-out images, have one below the threshold."""
    random = np.random.default_rng(0)
    steps = (random.exponential(size=(300, n)) for n in (held_out, 2000))
    known, judged = (np.exp(-0.1 * x) for x in steps)
    called = [bool((new < threshold_of(old, 2000)).any()) for old, new in zip(known, judged, strict=True)]
    assert 0.005 < np.mean(called) < 0.2  # nominally 5 %; the tail is uncertain with so few images


def test_the_threshold_falls_with_the_number_of_images() -> None:
    values = np.exp(-0.1 * np.random.default_rng(0).exponential(size=1000))
    limits = [threshold_of(values, judged) for judged in (10, 50, 100, 10_000)]
    assert limits[0] == limits[1] == values.min()  # a thousand real images need no extrapolation
    assert limits[3] < limits[2] < limits[1]
    assert limits[2] / limits[3] == pytest.approx(100**0.1, rel=0.15)  # the tail of the distribution above


def test_shift_and_brightness_hardly_change_the_vector(train: Subjects) -> None:
    images = train[0][0]
    likeness = PixelSimilarity(reduced(np.concatenate([x for x, _ in train])).mean(axis=0))
    start = likeness(images)
    apart = np.median(distances(start @ likeness(train[1][0]).T))
    for changed in (np.roll(images, (2, -1), (2, 3)), (images + 1) * 0.8 - 1):
        assert distances((start * likeness(changed)).sum(axis=1)).max() < 0.1 * apart
    mirrored = likeness.flipped(images[..., ::-1])[1]
    assert distances((start * mirrored).sum(axis=1)).max() < 1e-2


def test_the_result_is_reproducible_and_round_trips_through_json(
    train: Subjects, held_out: Subjects, new: np.ndarray
) -> None:
    found = measure_memorisation(train, held_out, new, seed=3, pairs=2)
    assert measure_memorisation(train, held_out, new, seed=3, pairs=2).to_dict() == found.to_dict()
    again = Memorisation.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()
    assert again.rules == found.rules
    assert replace(again.pairs[0], feature_ratio=0.0) == replace(found.pairs[0], feature_ratio=0.0)


def test_invalid_input_is_refused(train: Subjects, held_out: Subjects, new: np.ndarray) -> None:
    for wrong in (
        (train, train[:1], new),
        (train + train[:1], held_out, new),
        ([], held_out, new),
        (train, held_out, new[:, :3]),
        (train, held_out, new[:0]),
    ):
        with pytest.raises(InputError):
            measure_memorisation(*wrong)
    with pytest.raises(TypeError):
        measure_memorisation(iter(train), held_out, new)
