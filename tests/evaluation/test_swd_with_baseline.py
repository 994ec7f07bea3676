"""The sliced Wasserstein distance of several comparisons and groups of channels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import phantom_slices
import pytest
from phantom_slices import blurred, noisier

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness.split_half import Comparison, halvings
from napari_pgan.evaluation.likeness.swd import sliced_wasserstein, summarise, swd_with_baseline

JOINT = {"joint": range(7), "t1": [0], "flair": [3], "labels": [4, 5, 6]}


def _all_rows(count: int) -> list[Comparison]:
    rows = np.arange(count)
    return [Comparison(rows, rows, rows)]


def _model(real: list[np.ndarray], generated: list[np.ndarray], **options: int) -> dict[str, dict[str, float]]:
    """Distances of generated images to all real ones."""
    found = summarise(swd_with_baseline(real, generated, _all_rows(len(real[0])), JOINT, **options))
    return {group: {level: x.value for level, x in levels.items()} for group, levels in found.items()}


def test_it_agrees_with_sliced_wasserstein(small_store: Path) -> None:
    real = phantom_slices.real_slices(small_store)
    worse = blurred(noisier(real.images, 0.1), 0.5)
    found = _model([real.images, real.fractions], [worse, real.fractions], patches=128, projections=256)
    joint = [np.concatenate([x, real.fractions], axis=1) for x in (real.images, worse)]
    for group, channels in JOINT.items():
        plain = sliced_wasserstein(*(x[:, list(channels)] for x in joint), projections=256)
        assert list(found[group]) == list(plain)
        assert found[group] == pytest.approx(plain, rel=0.1, abs=1e-6)  # other patches and directions are drawn


def test_comparisons_select_rows_of_the_arrays(small_store: Path) -> None:
    real = phantom_slices.real_slices(small_store)
    arrays = [real.images, real.fractions]
    comparisons = halvings(real.subject, 30, times=3)
    worse = [noisier(real.images[:30], 0.1), real.fractions[:30]]
    together = swd_with_baseline(arrays, worse, comparisons, JOINT)
    for comparison, found in zip(comparisons, together, strict=True):
        rows = [[x[some] for x in arrays] for some in (comparison.other, comparison.reference)]
        made = [x[comparison.generated] for x in worse]
        n = len(comparison)
        alone = Comparison(np.arange(n), np.arange(n), np.arange(n, 2 * n))
        joined = [np.concatenate(pair) for pair in zip(*rows, strict=True)]
        (by_itself,) = swd_with_baseline(joined, made, [alone], JOINT)
        for group in JOINT:
            for level, pair in found[group].items():
                assert pair == pytest.approx(by_itself[group][level], rel=1e-6)


def test_equal_sets_have_zero_distance(small_store: Path) -> None:
    real = phantom_slices.real_slices(small_store)
    found = _model([real.images, real.fractions], [real.images, real.fractions])
    assert {x for levels in found.values() for x in levels.values()} == {0.0}
    assert list(found["joint"]) == ["32x32", "16x16", "mean"]


def test_half_precision_and_memory_mapping_hardly_change_the_distance(small_store: Path, tmp_path: Path) -> None:
    real = phantom_slices.real_slices(small_store)
    worse = blurred(real.images, 0.7)
    np.save(tmp_path / "real.npy", real.images.astype(np.float16))
    mapped = np.load(tmp_path / "real.npy", mmap_mode="r")
    whole = _model([real.images, real.fractions], [worse, real.fractions])
    half = _model([mapped, real.fractions], [worse.astype(np.float16), real.fractions])
    assert half["joint"] == pytest.approx(whole["joint"], rel=0.02)


def test_shuffled_labels_are_detected_only_jointly(small_store: Path) -> None:
    real = phantom_slices.real_slices(small_store)
    lesions = real.fractions.sum(axis=(1, 2, 3)) > 0
    images, fractions, subject = (np.tile(x[lesions], (2,) + (1,) * (x.ndim - 1)) for x in (
        real.images, real.fractions, real.subject))  # fmt: skip
    shuffled = fractions[np.random.default_rng(0).permutation(len(fractions))]
    assert len(subject) > 40
    still, wrong = (_model([images, fractions], [images, x], patches=128) for x in (fractions, shuffled))
    assert still["joint"]["mean"] == 0
    assert wrong["joint"]["mean"] > 5
    assert wrong["t1"] == still["t1"]
    assert wrong["flair"] == still["flair"]
    assert wrong["labels"]["mean"] < 0.7 * wrong["joint"]["mean"]


def test_sets_that_cannot_be_compared_are_refused(small_store: Path) -> None:
    real = phantom_slices.real_slices(small_store)
    with pytest.raises(InputError, match="cannot compare images of shapes"):
        swd_with_baseline([real.images], [real.images[:, :2]], _all_rows(5), {"t1": [0]})
    bad = real.images.copy()
    bad[2, 0, 3, 3] = np.nan
    with pytest.raises(InputError, match="generated images contain NaN"):
        swd_with_baseline([real.images], [bad], _all_rows(5), {"t1": [0]})


def test_progress_counts_to_the_end(small_store: Path) -> None:
    real, reported = phantom_slices.real_slices(small_store), []
    comparisons = halvings(real.subject, 10, times=2)
    swd_with_baseline([real.images], [real.images], comparisons, {"t1": [0]}, progress=lambda *x: reported.append(x))
    assert json.dumps(reported) == "[[1, 4], [2, 4], [3, 4], [4, 4]]"
