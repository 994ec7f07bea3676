"""The verdict of likeness, on sets of known quality."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import phantom_slices
import pytest

from napari_pgan.evaluation.likeness.features import shrink
from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.intensities import within_labels
from napari_pgan.evaluation.likeness.likeness import ImageSet, measure_likeness
from napari_pgan.evaluation.likeness.split_half import WithBaseline, halvings
from napari_pgan.evaluation.report.likeness import likeness_section
from napari_pgan.evaluation.report.verdict import GOOD, LEAST, decisive_metric, rating_of


@cache
def _measured(store: Path, how: str) -> Likeness:
    """Compare real images of phantoms as if generated, with their own masks or those of other images."""
    real = phantom_slices.real_slices(store)
    whole = ImageSet(real.images, real.fractions)
    made = ImageSet(real.images, _exchanged(real.fractions) if how == "exchanged" else real.fractions)
    encoder, held = phantom_slices.encoder(store), real.subject >= 4
    return measure_likeness(whole, real.subject, held, made, ("t1", "t1ce", "t2", "flair"), encoder, times=3)


def _exchanged(fractions: np.ndarray) -> np.ndarray:
    return fractions[np.random.default_rng(1).permutation(len(fractions))]


def test_segmentations_on_the_wrong_images_are_poor() -> None:
    """The sets are large enough for a verdict; subjects differ by 0.03, a lesion from its surroundings by 0.3."""
    whole, subject = _heads(40, 10)
    wrong_ones = ImageSet(whole.images, _exchanged(whole.fractions))
    right, wrong = (
        measure_likeness(whole, subject, subject >= 20, made, ("t1", "t2"), _Boxes(), times=3)
        for made in (whole, wrong_ones)
    )
    assert rating_of(right) == "good"
    assert rating_of(wrong) == "poor"
    assert decisive_metric(wrong).figure.measure == "intensity"
    assert "how the labels look in the images" in likeness_section(wrong.to_dict(), {}).sentence
    # and no other metric detects it
    assert rating_of(_without(wrong, "intensity")) == "good"


def test_intensities_decide_for_wrong_segmentations_of_phantoms(small_store: Path) -> None:
    """Six phantoms are too few for a certain verdict: their lesions may differ as much from each other."""
    right, wrong = (_measured(small_store, how) for how in ("as they are", "exchanged"))
    assert rating_of(right) != "poor"
    assert decisive_metric(wrong).figure.measure == "intensity"
    assert wrong.figure("intensity", "labels").halves.value > 2 * right.figure("intensity", "labels").halves.value
    assert decisive_metric(_without(wrong, "intensity")).times < GOOD


def test_a_missing_measurement_is_reported(small_store: Path) -> None:
    found = _measured(small_store, "as they are")
    old = _without(found, "intensity")
    assert any("was not measured" in note for note in likeness_section(old.to_dict(), {}).notes)
    assert not any("was not measured" in note for note in likeness_section(found.to_dict(), {}).notes)


def test_few_images_can_give_a_poor_verdict_but_not_a_good_one() -> None:
    for images, light in ((LEAST, "good"), (LEAST - 1, "unknown"), (16, "unknown")):
        assert rating_of(_of({"swd": 1.0}, images)) == light
        assert rating_of(_of({"swd": 3.0}, images)) == ("fair" if images == LEAST else "unknown")
        assert rating_of(_of({"swd": 4.1}, images)) == "poor"
    assert "sets of 16 images" in likeness_section(_of({"swd": 1.0}, 16).to_dict(), {}).sentence


@pytest.mark.parametrize("measure", ["swd", "intensity", "frechet", "kernel", "precision", "recall", "density"])
def test_any_single_metric_can_decide_and_is_named(measure: str) -> None:
    share = measure in ("precision", "recall", "density")
    square = measure in ("frechet", "kernel")
    for times, light in ((1.9, "good"), (2.1, "fair"), (3.9, "fair"), (4.1, "poor")):
        shown = 1 / times if share else times**2 if square else times
        found = _of({measure: shown})
        assert (rating_of(found), decisive_metric(found).figure.measure) == (light, measure)
        assert found.figure(*_KEYS.get(measure, (measure,))).name in likeness_section(found.to_dict(), {}).sentence


def test_held_out_subjects_count_as_much_as_halves() -> None:
    found = _of({})
    worse = WithBaseline(0.2, 0.2, 0.2, 0.9, 0.9, 0.9)
    figures = [replace(one, held=worse) if one.measure == "coverage" else one for one in found.figures]
    assert rating_of(found) == "good"
    assert rating_of(replace(found, figures=tuple(figures))) == "poor"
    assert decisive_metric(replace(found, figures=tuple(figures))).unseen


def test_a_baseline_near_0_is_replaced_by_its_spread() -> None:
    """The kernel distance of equal sets is 0 on average and sometimes negative."""
    found = _of({})
    scatter = WithBaseline(0.5, 0.1, 0.9, -0.01, -1.0, 1.0)
    figures = [replace(one, halves=scatter) if one.measure == "kernel" else one for one in found.figures]
    assert rating_of(replace(found, figures=tuple(figures))) == "good"


def test_the_intensity_distance_equals_the_shift_of_a_modality() -> None:
    random = np.random.default_rng(0)
    images = random.uniform(-0.5, 0.1, (80, 2, 8, 8)).astype(np.float32)
    fractions = np.zeros((80, 1, 8, 8), np.float32)
    fractions[:, :, 2:6, 2:6] = 1
    moved = images + np.array([0, 0.3], np.float32)[:, None, None]
    comparisons = halvings(np.arange(80), 80, times=2)
    for value, baseline in within_labels((images, fractions), (moved, fractions), comparisons):
        assert value == pytest.approx(1000 * 0.3 / 2, abs=20)  # one of two modalities was shifted
        assert baseline < 30
    nothing = within_labels((images, fractions), (images, 0 * fractions), comparisons)
    assert np.isnan(nothing).all()


class _Boxes:
    """Features without a network: means over boxes of 8 pixels."""

    about: ClassVar[dict[str, object]] = {"sentence": "means over boxes"}

    def features(self, images: np.ndarray) -> np.ndarray:
        return shrink(images, 8).reshape(len(images), -1)


def _heads(subjects: int, slices: int) -> tuple[ImageSet, np.ndarray]:
    """Return grey discs, each with a lesion darker in one modality and brighter in the other, and their subjects."""
    random, count = np.random.default_rng(2), subjects * slices
    subject = np.arange(subjects).repeat(slices)
    y, x = np.mgrid[:32, :32] - 15.5
    head = np.hypot(y, x) < random.uniform(12, 15, (count, 1, 1))
    turn, far = random.uniform(0, 2 * np.pi, (count, 1, 1)), random.uniform(0, 8, (count, 1, 1))
    lesion = np.hypot(y - far * np.sin(turn), x - far * np.cos(turn)) < random.uniform(2, 4, (count, 1, 1))
    brightness = np.array([-0.2, 0.1]) + random.normal(0, 0.03, (subjects, 2))  # intensities differ between scanners
    images = np.full((count, 2, 32, 32), -1.0)
    for modality, change in enumerate((-0.3, 0.3)):
        of_subject = brightness[subject, modality, None, None]
        images[:, modality] = np.where(head, of_subject + change * lesion, -1.0)
    images += head[:, None] * random.normal(0, 0.05, images.shape)
    return ImageSet(images.clip(-1, 1).astype(np.float32), lesion[:, None].astype(np.float32)), subject


_KEYS = {"swd": ("swd", "joint", "mean"), "intensity": ("intensity", "labels")}
_BASELINES = {"frechet": 1.5, "kernel": 4.0, "precision": 0.9, "recall": 0.9, "density": 0.95, "coverage": 0.94}


def _of(times: dict[str, float], images: int = 1000) -> Likeness:
    """Return metrics at their baseline, except those multiplied by `times`."""
    figures = []
    for measure in ("swd", "intensity", "frechet", "kernel", "precision", "recall", "density", "coverage", "ms-ssim"):
        baseline = _BASELINES.get(measure, 13.0)
        value = baseline * times.get(measure, 1.0)
        measure, channels, level = (*_KEYS.get(measure, (measure, "images")), "")[:3]
        compared = WithBaseline(value, value, value, baseline, baseline, baseline)
        figures.append(Figure(measure, channels, level, f"the {measure}", "lower", "It says.", compared, None))
    return Likeness(tuple(figures), images, images, images, images, 20, 5, 5, {}, "scales")


def _without(found: Likeness, measure: str) -> Likeness:
    return replace(found, figures=tuple(one for one in found.figures if one.measure != measure))
