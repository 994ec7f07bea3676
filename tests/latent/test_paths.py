"""Paths between latents: end points, lengths and reversal."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_pgan.errors import InputError
from napari_pgan.latent import KeyFrame, lerp, slerp, via_origin, walk
from napari_pgan.latent.paths import EASINGS
from napari_pgan.model import latents_of_seeds

_latent = arrays(np.float32, 6, elements=st.floats(-4, 4, width=32))
_nonzero = _latent.filter(lambda z: np.linalg.norm(z) > 1e-2)
_t = st.floats(0, 1)


def _unit(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z)


@given(_nonzero, _nonzero, _t)
def test_slerp_stays_on_the_sphere(a: np.ndarray, b: np.ndarray, t: float) -> None:
    a, b = 3 * _unit(a.astype(float)), 3 * _unit(b.astype(float))
    assert np.linalg.norm(slerp(a, b, t)) == pytest.approx(3, abs=1e-5)


@given(_latent, _latent)
def test_paths_begin_and_end_exactly_at_their_latents(a: np.ndarray, b: np.ndarray) -> None:
    for path in (lerp, slerp):
        np.testing.assert_array_equal(path(a, b, 0.0), a)
        np.testing.assert_array_equal(path(a, b, 1.0), b)
    for t, end in ((0.0, a), (1.0, b)):
        latent, factor = via_origin(a, b, t)
        np.testing.assert_array_equal(latent, end)
        assert factor == 1


@given(_nonzero, _nonzero, _t)
def test_paths_run_the_same_way_back(a: np.ndarray, b: np.ndarray, t: float) -> None:
    np.testing.assert_allclose(lerp(a, b, t), lerp(b, a, 1 - t), atol=1e-6)
    np.testing.assert_allclose(slerp(a, b, t), slerp(b, a, 1 - t), atol=1e-5)


@given(_nonzero, _t)
def test_the_path_between_opposite_latents_is_unique(a: np.ndarray, t: float) -> None:
    there = slerp(a, -a, t)
    np.testing.assert_allclose(there, slerp(-a, a, 1 - t), atol=1e-5)
    assert np.linalg.norm(there) == pytest.approx(np.linalg.norm(a), rel=1e-5)


def test_slerp_keeps_an_even_angular_speed() -> None:
    a, b = latents_of_seeds([0, 1], 64).astype(float)
    points = [_unit(slerp(a, b, t)) for t in np.linspace(0, 1, 9)]
    angles = [np.arccos(np.clip(p @ q, -1, 1)) for p, q in pairwise(points)]
    np.testing.assert_allclose(angles, np.arccos(_unit(a) @ _unit(b)) / 8, rtol=1e-6)


def test_slerp_of_two_axes_is_the_circle() -> None:
    x, y = np.eye(2)
    np.testing.assert_allclose(slerp(x, y, 1 / 3), [np.cos(np.pi / 6), np.sin(np.pi / 6)], atol=1e-12)


def test_via_origin_meets_the_mean_half_way() -> None:
    a, b = np.ones(3), -np.ones(3)
    assert [via_origin(a, b, t)[1] for t in (0.25, 0.5, 0.75)] == [0.5, 0.0, 0.5]


@pytest.mark.parametrize("easing", sorted(EASINGS))
@given(t=_t, later=_t)
def test_easings_go_from_0_to_1_and_never_back(easing: str, t: float, later: float) -> None:
    ease = EASINGS[easing]
    assert (ease(0.0), ease(1.0)) == (0, 1)
    low, high = sorted((t, later))
    assert ease(low) <= ease(high) + 1e-12


def _keys(*seeds: int) -> list[KeyFrame]:
    return [KeyFrame(latents_of_seeds([s], 8)[0], 1 - 0.1 * s, s) for s in seeds]


@pytest.mark.parametrize("path", ["lerp", "slerp", "via-origin"])
@pytest.mark.parametrize("loop", [False, True])
def test_every_key_is_a_frame(path: str, loop: bool) -> None:
    keys = _keys(1, 2, 3)
    frames = walk(keys, 4, path, loop=loop)
    assert len(frames) == (15 if loop else 11)
    for key, at in zip(keys, (0, 5, 10), strict=True):
        np.testing.assert_array_equal(frames.latents[at], key.latent)
        assert frames.truncation[at] == pytest.approx(key.truncation)
        assert frames.seeds[at] == key.seed


def test_a_loop_closes_with_even_steps() -> None:
    frames = walk(_keys(1, 2), 3, loop=True)
    around = np.concatenate([frames.latents, frames.latents[:1]])
    steps = np.linalg.norm(np.diff(around, axis=0), axis=1)
    np.testing.assert_allclose(steps, np.concatenate([steps[:4], steps[3::-1]]), rtol=1e-5)


def test_via_origin_passes_through_the_mean_and_names_the_seed_it_shows() -> None:
    frames = walk([KeyFrame(np.ones(4), 1.0, 5), KeyFrame(-np.ones(4), 1.0, 6)], 3, "via-origin")
    assert frames.truncation.tolist() == [1, 0.5, 0, 0.5, 1]
    assert frames.seeds == (5, 5, 5, 6, 6)


def test_one_key_is_a_walk_of_one_frame() -> None:
    for loop in (False, True):
        assert len(walk(_keys(1), 5, loop=loop)) == 1


def test_an_invalid_walk_is_refused() -> None:
    with pytest.raises(InputError, match="none"):
        walk([], 1)
    with pytest.raises(InputError, match=r"'fly'; choose one of slerp, lerp, via-origin"):
        walk(_keys(1), 1, "fly")
    with pytest.raises(InputError, match="easing"):
        walk(_keys(1), 1, easing="bounce")
    with pytest.raises(InputError, match="0 or more"):
        walk(_keys(1), -1)
