"""Latents of seeds never change."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.model import latents_of_seeds


@pytest.mark.parametrize(
    ("seed", "first"),
    [
        (0, [115609, 26225, 64143]),  # numpy.random.seed(0): 1.764052, 0.400157, 0.978738
        (1, [106453, -40092, -34614]),
        (2, [-27313, -3688, -139998]),
        (2**32 - 1, [42494, 43865, -70815]),
    ],
)
def test_the_first_numbers_of_a_seed_never_change(seed: int, first: list[int]) -> None:
    np.testing.assert_array_equal(latents_of_seeds([seed], 8)[0, :3] * 2**16, first)


def test_all_numbers_of_a_seed_never_change() -> None:
    content = latents_of_seeds(range(100), 512).astype("<f4").tobytes()
    assert hashlib.sha256(content).hexdigest() == "d61dbad7e6cd27946336c8d88df0161494f863be3a3e69e210a6ff9e90d51a5f"


@given(st.lists(st.integers(0, 2**32 - 1), max_size=5), st.integers(1, 40))
def test_a_latent_depends_on_its_seed_alone(seeds: list[int], size: int) -> None:
    together = latents_of_seeds(seeds, size)
    assert together.shape == (len(seeds), size)
    assert together.dtype == np.float32
    for row, seed in zip(together, seeds, strict=True):
        np.testing.assert_array_equal(row, latents_of_seeds([seed], size)[0])
        np.testing.assert_array_equal(row, latents_of_seeds([seed], size + 7)[0, :size])


def test_latents_are_normal() -> None:
    z = latents_of_seeds(range(200), 512)
    assert abs(z.mean()) < 0.01
    assert z.std() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(z[:50]) - np.eye(50)).max() < 0.2


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="out of range"):
        latents_of_seeds([seed], 4)
