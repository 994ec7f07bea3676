"""All metrics of likeness, on phantoms with known damage."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import phantom_slices
import pytest
from phantom_slices import blurred, noisier

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.figures import Likeness
from napari_pgan.evaluation.likeness.likeness import ImageSet, measure_likeness, spread
from napari_pgan.evaluation.likeness.prdc import NEAREST

MODALITIES = ("t1", "t1ce", "t2", "flair")
DAMAGE = {"blur": (blurred, (0.6, 0.9, 1.3)), "noise": (noisier, (0.05, 0.1, 0.2))}


@cache
def _measured(store: Path, damage: str = "", strength: float = 0.0, held: bool = False, times: int = 2) -> Likeness:
    """Compare damaged real images as if they were generated."""
    real = phantom_slices.real_slices(store)
    images, fractions = real.images, real.fractions
    if damage == "few":
        middles = [np.flatnonzero(real.subject == i) for i in (1, 3, 5)]
        rows = np.resize([its[len(its) // 2] for its in middles], len(images))
        images, fractions = noisier(images[rows], 1e-4), fractions[rows]
    elif damage:
        images = DAMAGE[damage][0](images, strength)
    subjects = real.subject >= 4 if held else np.zeros(len(real.subject), bool)
    whole, made = ImageSet(real.images, real.fractions), ImageSet(images, fractions)
    return measure_likeness(whole, real.subject, subjects, made, MODALITIES, phantom_slices.encoder(store), times=times)


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_distance_grows_with_blur_and_noise(damage: str, small_store: Path) -> None:
    found = [_measured(small_store), *(_measured(small_store, damage, s) for s in DAMAGE[damage][1])]
    for which in (("swd", "joint", "mean"), ("swd", "joint", "32x32"), ("swd", "flair", "mean")):
        values = [one.figure(*which).halves.value for one in found]
        assert values == sorted(set(values)), which
    for measure in ("frechet", "kernel"):
        values = [one.figure(measure).halves.value for one in found]
        assert values[1:] == sorted(set(values[1:])), measure
        assert values[-1] > values[0], measure
    # undamaged channels and the baselines do not change
    assert len({one.figure("swd", "labels", "mean").halves for one in found}) == 1
    for figure in found[0].figures:
        other = found[-1].figure(figure.measure, figure.channels, figure.level)
        assert other.halves.baseline == pytest.approx(figure.halves.baseline, rel=1e-3)


def test_repeated_images_have_high_precision_but_low_variety(small_store: Path) -> None:
    # the precision of three repeated images depends on the halves, so average over many
    whole, few = _measured(small_store, times=8), _measured(small_store, "few", times=8)
    for measure in ("recall", "coverage"):
        assert few.figure(measure).halves.value < 0.4 * whole.figure(measure).halves.value
    assert few.figure("ms-ssim").halves.value > whole.figure("ms-ssim").halves.value + 0.05
    assert few.figure("precision").halves.value > 0.6 * whole.figure("precision").halves.value


def test_real_images_do_better_than_the_baseline(small_store: Path) -> None:
    """The set contains many images of the reference; the other half contains none.

    With six phantoms, single channels, labels and single levels scatter around the baseline. The other metrics scatter
    between two halvings, but their means over eight are clear.
    """
    found = _measured(small_store, times=8)
    single = [one for one in found.figures if one.measure == "swd" and (one.channels, one.level) != ("joint", "mean")]
    others = [one for one in found.figures if one not in single and one.better != "floor"]
    assert {one.measure for one in others} == {
        "swd", "intensity", "frechet", "kernel", "precision", "recall", "density", "coverage",
    }  # fmt: skip
    for figure in others:
        better = 1 if figure.better == "higher" else -1
        assert better * figure.halves.value > better * figure.halves.baseline, figure.name


def test_held_out_images_have_zero_distance_to_themselves_and_training_images_do_not(small_store: Path) -> None:
    real, encoder = phantom_slices.real_slices(small_store), phantom_slices.encoder(small_store)
    whole, held = ImageSet(real.images, real.fractions), real.subject >= 4
    unseen = whole.rows(np.flatnonzero(held))
    found = measure_likeness(whole, real.subject, held, unseen, MODALITIES, encoder, times=1)
    assert (found.held_subjects, found.held_images, found.held_swd_images) == (2, held.sum(), held.sum())
    for figure in found.figures:
        compared = figure.held
        assert compared is not None
        if figure.measure in ("swd", "intensity"):
            assert compared.value == 0 < compared.baseline, figure.name
        elif figure.measure == "frechet":  # the matrix root is exact up to rounding
            assert abs(compared.value) < 1e-4 * compared.baseline
        elif figure.measure == "kernel":  # pairs of an image with itself are left out
            assert compared.value < 0 < compared.baseline
        elif figure.measure == "density":  # rounding decides whether the k-th neighbour counts
            assert 0.999 < compared.value < 1.001 + 1 / NEAREST
        elif figure.better == "higher":
            assert compared.value == 1
    assert found.figure("precision").held.baseline < 1  # type: ignore[union-attr]


def test_the_order_of_images_does_not_matter(small_store: Path) -> None:
    real, encoder = phantom_slices.real_slices(small_store), phantom_slices.encoder(small_store)
    worse, held = noisier(real.images, 0.1), np.zeros(len(real.subject), bool)
    mixed = np.random.default_rng(0).permutation(len(worse))
    # as many generated images as in a half, so that every split uses all of them
    count = len(real.subject) // 2 - 10
    found = [
        measure_likeness(
            ImageSet(real.images, real.fractions), real.subject, held, ImageSet(worse[rows], real.fractions[rows]),
            MODALITIES, encoder, times=2,
        )
        for rows in (np.arange(count), mixed[mixed < count])
    ]  # fmt: skip
    for measure in ("frechet", "precision", "recall", "density", "coverage"):
        one, other = (x.figure(measure).halves.value for x in found)
        assert one == pytest.approx(other, rel=1e-4, abs=0.02 if measure != "frechet" else 0)
    one, other = (x.figure("swd", "joint", "mean").halves.value for x in found)
    assert one == pytest.approx(other, rel=0.1)


def test_metrics_round_trip_through_json_and_describe_themselves(small_store: Path) -> None:
    found = _measured(small_store, held=True)
    assert Likeness.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert Likeness.from_dict(json.loads(json.dumps(_measured(small_store).to_dict()))).figures[0].held is None
    assert found.figures[0].name == "SWD × 10³, joint, 32×32"
    assert {one.measure for one in found.figures} == {
        "swd", "intensity", "frechet", "kernel", "precision", "recall", "density", "coverage", "ms-ssim",
    }  # fmt: skip
    assert {one.channels for one in found.figures} == {"joint", "images", "labels", *MODALITIES}
    assert all(one.says.endswith((".", "?")) and one.halves.low <= one.halves.high for one in found.figures)
    with pytest.raises(KeyError):
        found.figure("swd", "joint", "7x7")


def test_progress_reaches_the_end_and_never_decreases(small_store: Path) -> None:
    real, reported = phantom_slices.real_slices(small_store), []
    images = ImageSet(real.images, real.fractions)
    encoder, held = phantom_slices.encoder(small_store), real.subject >= 4
    measure_likeness(
        images, real.subject, held, images, MODALITIES, encoder, times=1, progress=lambda *x: reported.append(x)
    )
    assert reported == sorted(reported)
    assert reported[-1] == (100, 100)


def test_selected_images_are_spread_over_subjects_and_all_slices() -> None:
    subject = np.repeat([3, 1, 2], [100, 10, 50])
    rows = spread(subject, 40)
    names, counts = np.unique(subject[rows], return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == pytest.approx({1: 2.5, 2: 12.5, 3: 25}, abs=1.5)
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(spread(subject, 160), np.arange(160))

    patients = np.repeat(np.arange(300), 60)  # seven of sixty slices each
    place = spread(patients, 2100) % 60
    np.testing.assert_allclose(np.bincount(place // 6, minlength=10), 210, atol=5 * np.sqrt(210 * 0.9))


def test_selected_real_images_are_like_the_rest() -> None:
    """Selected images must not differ from the rest; image sums reveal the slice position."""
    where = np.tile(np.linspace(-1, 1, 60), 100)
    chosen = spread(np.repeat(np.arange(100), 60), 700)
    assert np.abs(where[chosen]).mean() == pytest.approx(np.abs(where).mean(), abs=0.03)


def test_too_few_or_mismatched_images_are_refused(small_store: Path) -> None:
    real, encoder = phantom_slices.real_slices(small_store), phantom_slices.encoder(small_store)
    whole, held = ImageSet(real.images, real.fractions), np.zeros(len(real.subject), bool)
    few = whole.rows(np.arange(4))
    with pytest.raises(InputError, match="too few to compare"):
        measure_likeness(whole, real.subject, held, few, MODALITIES, encoder)
    with pytest.raises(InputError, match="cannot be compared"):
        measure_likeness(whole, real.subject, held, whole, MODALITIES[:2], encoder)
    with pytest.raises(InputError, match="two real subjects"):
        measure_likeness(whole, np.zeros(len(held), int), held, whole, MODALITIES, encoder)
