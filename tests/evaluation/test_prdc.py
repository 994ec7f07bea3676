"""Precision, recall, density and coverage."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from napari_pgan.errors import InputError
from napari_pgan.evaluation.likeness import prdc as module
from napari_pgan.evaluation.likeness.prdc import prdc


def _clouds(seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 0.4 + 0.8 * rng.standard_normal((count, 6)), rng.standard_normal((count, 6))


@pytest.mark.parametrize("nearest", [1, 5])
@pytest.mark.parametrize("chunk", [8 * 200 * 7, 2**25])
def test_results_agree_with_the_authors_package(nearest: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from prdc import compute_prdc

    monkeypatch.setattr(module, "_CHUNK_BYTES", chunk)
    for seed in range(4):
        generated, real = _clouds(seed)
        with contextlib.redirect_stdout(io.StringIO()):
            expected = compute_prdc(real, generated[:90], nearest)
        assert prdc(generated[:90], real, nearest) == pytest.approx(expected, abs=1e-9)


def test_an_offset_does_not_change_the_result() -> None:
    generated, real = _clouds(0)
    assert prdc(generated + 1e4, real + 1e4) == pytest.approx(prdc(generated, real), abs=1e-9)


def test_a_set_compared_with_itself_scores_1() -> None:
    real = _clouds(0)[1]
    found = prdc(real, real)
    assert found["precision"] == found["recall"] == found["coverage"] == 1
    assert found["density"] == pytest.approx(1)  # each point lies in k balls: its own and on average k - 1 others


def test_disjoint_sets_score_0() -> None:
    real = _clouds(0)[1]
    assert set(prdc(real + 100, real).values()) == {0}


def test_repeated_images_have_high_precision_but_low_coverage() -> None:
    rng = np.random.default_rng(0)
    real, good = rng.standard_normal((2, 200, 3))
    # ten typical images, each repeated up to rounding
    few = np.resize(good[np.argsort((good**2).sum(axis=1))[:10]], (200, 3)) + 1e-6 * rng.standard_normal((200, 3))
    whole, poor = prdc(good, real), prdc(few, real)
    assert poor["precision"] >= whole["precision"]
    assert poor["recall"] < 0.2 * whole["recall"]
    assert poor["coverage"] < 0.5 * whole["coverage"]


def test_odd_real_images_lift_precision_more_than_density() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((200, 3))
    far = 20 + 8 * rng.standard_normal((200, 3))
    odd = np.concatenate([real[:-6], 20 + 8 * rng.standard_normal((6, 3))])  # six scattered points have large balls
    found = prdc(far, odd)
    assert found["precision"] > 0.5
    assert found["density"] < found["precision"]


def test_too_few_images_are_refused() -> None:
    generated, real = _clouds(0)
    with pytest.raises(InputError, match="at least"):
        prdc(generated[:5], real)
    with pytest.raises(InputError, match="one encoder"):
        prdc(generated[:, :2], real)
