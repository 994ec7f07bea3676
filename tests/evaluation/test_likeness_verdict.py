"""The verdict of likeness, on sets of which is known how good they are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import phantom_slices
import pytest

from napari_pgan.evaluation.likeness.figures import Figure, Likeness
from napari_pgan.evaluation.likeness.intensities import within_labels
from napari_pgan.evaluation.likeness.likeness import ImageSet, measure_likeness
from napari_pgan.evaluation.likeness.split_half import WithBaseline, halvings
from napari_pgan.evaluation.report.likeness import likeness_section
from napari_pgan.evaluation.report.verdict import LEAST, decisive_metric, rating_of


@cache
def _measured(store: Path, how: str) -> Likeness:
    """Real images of phantoms as if a model had made them, some with masks of other images or one grey everywhere."""
    real = phantom_slices.real_slices(store)
    whole, rows = ImageSet(real.images, real.fractions), np.arange(len(real.subject))
    exchanged = np.random.default_rng(1).permutation(rows) if how == "exchanged" else rows
    made = ImageSet(real.images, real.fractions[exchanged])
    encoder, held = phantom_slices.encoder(store), real.subject >= 4
    return measure_likeness(whole, real.subject, held, made, ("t1", "t1ce", "t2", "flair"), encoder, times=3)


def test_segmentations_on_the_wrong_images_are_poor(small_store: Path) -> None:
    right, wrong = (_measured(small_store, how) for how in ("as they are", "exchanged"))
    assert rating_of(right) != "poor"
    assert rating_of(wrong) == "poor"
    assert decisive_metric(wrong).figure.measure == "intensity"
    assert "how the labels look in the images" in likeness_section(wrong.to_dict(), {}).sentence
    # and nothing else sees it
    assert rating_of(_without(wrong, "intensity")) == rating_of(_without(right, "intensity"))


def test_that_it_was_not_measured_is_said(small_store: Path) -> None:
    found = _measured(small_store, "as they are")
    old = _without(found, "intensity")
    assert any("was not measured" in note for note in likeness_section(old.to_dict(), {}).notes)
    assert not any("was not measured" in note for note in likeness_section(found.to_dict(), {}).notes)


def test_few_images_can_convict_but_not_acquit() -> None:
    for images, light in ((LEAST, "good"), (LEAST - 1, "unknown"), (16, "unknown")):
        assert rating_of(_of({"swd": 1.0}, images)) == light
        assert rating_of(_of({"swd": 3.0}, images)) == ("fair" if images == LEAST else "unknown")
        assert rating_of(_of({"swd": 4.1}, images)) == "poor"
    assert "sets of 16 images" in likeness_section(_of({"swd": 1.0}, 16).to_dict(), {}).sentence


@pytest.mark.parametrize("measure", ["swd", "intensity", "frechet", "kernel", "precision", "recall", "density"])
def test_any_figure_alone_decides_and_is_named(measure: str) -> None:
    share = measure in ("precision", "recall", "density")
    square = measure in ("frechet", "kernel")
    for times, light in ((1.9, "good"), (2.1, "fair"), (3.9, "fair"), (4.1, "poor")):
        shown = 1 / times if share else times**2 if square else times
        found = _of({measure: shown})
        assert (rating_of(found), decisive_metric(found).figure.measure) == (light, measure)
        assert found.figure(*_KEYS.get(measure, (measure,))).name in likeness_section(found.to_dict(), {}).sentence


def test_unseen_subjects_count_as_much_as_halves() -> None:
    found = _of({})
    worse = WithBaseline(0.2, 0.2, 0.2, 0.9, 0.9, 0.9)
    figures = [replace(one, held=worse) if one.measure == "coverage" else one for one in found.figures]
    assert rating_of(found) == "good"
    assert rating_of(replace(found, figures=tuple(figures))) == "poor"
    assert decisive_metric(replace(found, figures=tuple(figures))).unseen


def test_a_floor_of_nothing_is_as_large_as_it_scatters() -> None:
    """The kernel distance of equal sets is 0 on average, and now and then below."""
    found = _of({})
    scatter = WithBaseline(0.5, 0.1, 0.9, -0.01, -1.0, 1.0)
    figures = [replace(one, halves=scatter) if one.measure == "kernel" else one for one in found.figures]
    assert rating_of(replace(found, figures=tuple(figures))) == "good"


def test_intensities_of_a_shifted_modality_are_as_far_as_it_was_shifted() -> None:
    random = np.random.default_rng(0)
    images = random.uniform(-0.5, 0.1, (80, 2, 8, 8)).astype(np.float32)
    fractions = np.zeros((80, 1, 8, 8), np.float32)
    fractions[:, :, 2:6, 2:6] = 1
    moved = images + np.array([0, 0.3], np.float32)[:, None, None]
    comparisons = halvings(np.arange(80), 80, times=2)
    for value, floor in within_labels((images, fractions), (moved, fractions), comparisons):
        assert value == pytest.approx(1000 * 0.3 / 2, abs=20)  # of two modalities, one was
        assert floor < 30
    nothing = within_labels((images, fractions), (images, 0 * fractions), comparisons)
    assert np.isnan(nothing).all()


_KEYS = {"swd": ("swd", "joint", "mean"), "intensity": ("intensity", "labels")}
_FLOORS = {"frechet": 1.5, "kernel": 4.0, "precision": 0.9, "recall": 0.9, "density": 0.95, "coverage": 0.94}


def _of(times: dict[str, float], images: int = 1000) -> Likeness:
    """Figures at their floor, but for some that are so many times as large."""
    figures = []
    for measure in ("swd", "intensity", "frechet", "kernel", "precision", "recall", "density", "coverage", "ms-ssim"):
        floor = _FLOORS.get(measure, 13.0)
        value = floor * times.get(measure, 1.0)
        measure, channels, level = (*_KEYS.get(measure, (measure, "images")), "")[:3]
        beside = WithBaseline(value, value, value, floor, floor, floor)
        figures.append(Figure(measure, channels, level, f"the {measure}", "lower", "It says.", beside, None))
    return Likeness(tuple(figures), images, images, images, images, 20, 5, 5, {}, "scales")


def _without(found: Likeness, measure: str) -> Likeness:
    return replace(found, figures=tuple(one for one in found.figures if one.measure != measure))
