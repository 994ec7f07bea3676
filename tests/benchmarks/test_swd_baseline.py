"""The baseline of the sliced Wasserstein distance between real subjects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from swd_baseline import swd_baseline

from napari_pgan.errors import InputError

QUICK = {"patches": 64, "projections": 64}


def test_the_baseline_compares_halves_of_the_subjects() -> None:
    # images of a subject are near copies, so halves by subject differ more than halves by image
    base = gaussian_filter(np.random.default_rng(0).standard_normal((8, 2, 32, 32)), (0, 0, 1.5, 1.5))
    subjects = np.arange(8).repeat(6)
    images = base[subjects] + 0.01 * np.random.default_rng(0).standard_normal((48, 2, 32, 32))
    by_subject = swd_baseline(images, subjects, **QUICK)
    by_image = swd_baseline(images, np.arange(48), **QUICK)
    assert by_subject["low"] <= by_subject["mean"] <= by_subject["high"]
    assert by_subject["mean"] > 1.2 * by_image["mean"]
    assert by_subject["images"] == 24
    assert list(by_subject["levels"]) == ["32x32", "16x16"]
    assert swd_baseline(images, subjects, count=5, **QUICK)["images"] == 5
    assert swd_baseline(images, subjects, **QUICK) == by_subject


def test_a_single_subject_is_refused() -> None:
    with pytest.raises(InputError, match="two subjects"):
        swd_baseline(np.zeros((3, 2, 32, 32), np.float32), np.zeros(3), **QUICK)
