"""Facts about fields, flows and deformations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from napari_pgan.phantom.anatomy import COARSE, make_anatomy
from napari_pgan.phantom.fields import Lattice, exponential, flow_from_sources, follow, jacobian, random_field
from napari_pgan.phantom.tumour import grow


@given(
    shape=st.tuples(*[st.integers(3, 9)] * 3),
    spacing=st.floats(0.5, 5),
    seed=st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_resampling_agrees_with_scipys_interpolator(shape: tuple[int, int, int], spacing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lattice = Lattice(shape, spacing)
    field = rng.standard_normal(shape, np.float32)
    reach = [abs(lattice.axis(d)).max() for d in range(3)]
    axes = [np.sort(rng.uniform(-r, r, 5)).astype(np.float32) for r in reach]
    truth = RegularGridInterpolator(
        [lattice.axis(d).astype(float) for d in range(3)], field, bounds_error=False, fill_value=None
    )
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    expected = truth(np.moveaxis(points, 0, -1))
    np.testing.assert_allclose(lattice.resample(field, axes), expected, atol=2e-4)
    np.testing.assert_allclose(lattice.sample(field, points), expected, atol=2e-4)


def test_a_random_field_has_the_requested_correlation_length() -> None:
    lattice = Lattice((48, 48, 48), 2.0)
    fields = [random_field(np.random.default_rng(s), lattice, 10.0) for s in range(6)]
    assert np.mean([f.mean() for f in fields]) == pytest.approx(0, abs=1e-3)
    assert np.mean([f.var() for f in fields]) == pytest.approx(1, abs=1e-3)
    # Filtered white noise exp(-k²s²/4) has the correlation exp(-r²/2s²).
    at_scale = np.mean([(f * np.roll(f, 5, 2)).mean() for f in fields])
    assert at_scale == pytest.approx(np.exp(-0.5), abs=0.1)


def test_a_flow_diverges_only_at_its_sources() -> None:
    lattice = Lattice((40, 40, 40), 2.0)
    distance = np.sqrt((lattice.points() ** 2).sum(0))
    sources = (distance < 10).astype(np.float32)
    flow = flow_from_sources(lattice, sources, smooth=2.0)
    divergence = sum(np.gradient(flow[d], lattice.spacing, axis=d) for d in range(3))
    lost = sources.mean()  # a periodic box can have no net source
    assert divergence[distance < 4].mean() == pytest.approx(1 - lost, abs=0.05)
    assert abs(divergence[(distance > 18) & (distance < 30)].mean() + lost) < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_head_deformations_are_invertible(seed: int) -> None:
    anatomy = make_anatomy(seed)
    assert jacobian(COARSE, anatomy.displacement).min() > 0.05
    assert np.linalg.det(anatomy.matrix) > 0
    back = exponential(COARSE, -anatomy.velocity)
    points = COARSE.points()
    there = points + anatomy.displacement
    again = there + COARSE.sample(back, there)
    middle = (slice(None), *[slice(6, -6)] * 3)  # points near the edge leave the grid
    assert np.abs(again - points)[middle].max() < 1.0  # mm, of displacements of up to 10


@pytest.mark.parametrize("seed", range(4))
def test_a_large_mass_effect_does_not_fold(seed: int) -> None:
    anatomy = make_anatomy(seed)
    tumour = grow(seed, anatomy, core_ml=80)
    assert jacobian(COARSE, tumour.displacement).min() > 0.01
    points = tumour.seed_point.reshape(3, 1)
    pushed = follow(COARSE, tumour.flow, points)
    np.testing.assert_allclose(tumour.before(pushed), points, atol=1.0)
