"""The schedule: phases, alpha, stretching, and training from a model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.schema import base_of
from napari_pgan.training.recipe import Recipe, Size, read_recipe
from napari_pgan.training.schedule import Schedule


def recipe(*plans: tuple[int, int, int]) -> Recipe:
    sizes = {4 * 2**i: Size(width=8, batch=b, fade=f, stable=s) for i, (b, f, s) in enumerate(plans)}
    return Recipe(name="test", description="", sizes=sizes)


plan = st.tuples(st.integers(1, 64), st.integers(0, 5000), st.integers(0, 5000))


@given(st.lists(plan, min_size=1, max_size=6), st.integers(1, 100_000))
def test_phases_have_no_gaps_and_whole_batches(plans: list[tuple[int, int, int]], images: int) -> None:
    plans[-1] = (plans[-1][0], plans[-1][1], max(plans[-1][2], 1))
    schedule = Schedule(recipe(*plans), 4 * 2 ** (len(plans) - 1), images)
    assert schedule.phases[0].start == 0
    assert schedule.phases[-1].end == schedule.images
    assert schedule.phases[-1].stage == len(plans) - 1
    for before, after in zip(schedule.phases, schedule.phases[1:], strict=False):
        assert before.end == after.start
        assert before.stage <= after.stage
    for phase in schedule.phases:
        assert (phase.end - phase.start) % phase.batch == 0
    assert not schedule.phases[0].fading


def test_alpha_rises_from_0_to_1() -> None:
    schedule = Schedule(recipe((10, 0, 100), (10, 100, 100)), 8)
    assert schedule.at(0).alpha == 1
    assert [schedule.at(n).alpha for n in (100, 150, 190)] == [0, 0.5, 0.9]
    assert schedule.at(200).alpha == 1
    assert schedule.at(10_000).phase == schedule.phases[-1]
    assert [schedule.at(n).step for n in (100, 110, 120)] == [0, 1, 2]


def test_shorter_training_keeps_the_proportions() -> None:
    full, short = (Schedule(read_recipe("karras2018"), 256, n) for n in (None, 100_000))
    assert short.images == pytest.approx(100_000, rel=0.02)
    for a, b in zip(full.phases, short.phases, strict=True):
        assert (b.end - b.start) / short.images == pytest.approx((a.end - a.start) / full.images, rel=0.05)


@pytest.mark.parametrize(("size", "base"), [(4, (4, 0)), (64, (4, 4)), (96, (6, 4)), (160, (5, 5)), (7, (7, 0))])
def test_size_is_a_base_and_doublings(size: int, base: tuple[int, int]) -> None:
    assert base_of(size) == base


@pytest.mark.parametrize("size", [0, 3, 9, 100 * 9, 66])
def test_size_without_a_base_is_refused(size: int) -> None:
    with pytest.raises(InputError, match="power of two"):
        base_of(size)


def test_size_beyond_the_recipe_is_refused() -> None:
    with pytest.raises(InputError, match="goes up to size 8, not to 16"):
        Schedule(recipe((1, 0, 10), (1, 10, 10)), 16)


@given(st.lists(plan, min_size=1, max_size=6), st.integers(1, 100_000), st.integers(0, 7))
def test_training_from_a_model_skips_smaller_sizes(plans: list[tuple[int, int, int]], images: int, grown: int) -> None:
    plans[-1] = (plans[-1][0], plans[-1][1], max(plans[-1][2], 1))
    last = len(plans) - 1
    schedule = Schedule(recipe(*plans), 4 * 2**last, images, grown)
    assert schedule.phases[0].start == 0
    assert schedule.phases[-1].end == schedule.images
    assert schedule.phases[-1].stage == last
    for before, after in zip(schedule.phases, schedule.phases[1:], strict=False):
        assert before.end == after.start
        assert before.stage <= after.stage
    for phase in schedule.phases:
        assert phase.stage >= min(grown, last)
        assert not (phase.fading and phase.stage <= grown)
        assert (phase.end - phase.start) % phase.batch == 0


def test_training_from_a_model_is_stable_and_then_fades_in() -> None:
    plans = ((10, 0, 100), (10, 100, 200), (10, 100, 300), (10, 100, 400))
    whole, rest = Schedule(recipe(*plans), 32), Schedule(recipe(*plans), 32, grown=1)
    assert [(p.size, p.fading) for p in rest.phases] == [(8, False), (16, True), (16, False), (32, True), (32, False)]
    lengths = {(p.size, p.fading): p.end - p.start for p in whole.phases}
    assert all(p.end - p.start == lengths[p.size, p.fading] for p in rest.phases)
    assert rest.images == whole.images - 100 - 100  # the first size, and the fade-in of the second
    # a length of twice the images stretches the remaining phases
    stretched = Schedule(recipe(*plans), 32, 2 * rest.images, grown=1)
    assert [p.end for p in stretched.phases] == [2 * p.end for p in rest.phases]


def test_next_size_fades_in_without_images_at_the_models_size() -> None:
    schedule = Schedule(recipe((10, 0, 100), (10, 100, 0), (10, 100, 100)), 16, grown=1)
    assert [(p.size, p.fading) for p in schedule.phases] == [(16, True), (16, False)]
    assert schedule.at(0).alpha == 0
    # a recipe that ends with a fade-in uses its images as stable ones
    schedule = Schedule(recipe((10, 0, 100), (10, 100, 0)), 8, grown=1)
    assert [(p.size, p.fading, p.end) for p in schedule.phases] == [(8, False, 100)]
