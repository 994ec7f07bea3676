"""The time that is said to be left, where a later size costs a hundred times an early one."""

from __future__ import annotations

import json

import pytest

from napari_pgan.training.eta import Eta
from napari_pgan.training.recipe import Recipe, Size
from napari_pgan.training.schedule import Schedule

BATCH = 10
SIZES = {size: Size(width=8, batch=BATCH, fade=200, stable=400) for size in (4, 8, 16, 32)}
SCHEDULE = Schedule(Recipe(name="test", description="", sizes=SIZES), 32)
COSTS = [0.001 * 6**phase.stage * (1.2 if phase.fading else 1) for phase in SCHEDULE.phases]  # seconds an image
LOOKS = [600, 1200, 1800, 2400]
LOOK = {4: 1.0, 8: 2.0, 16: 6.0, 32: 20.0}  # seconds


def trained(pace: Eta, slower: float) -> list[tuple[int, float, float]]:
    """For every row of a training that is so much slower than was measured: images, seconds left, and those said."""
    clock, looked, told = 0.0, 0, []
    for seen in range(BATCH, SCHEDULE.images + 1, BATCH):
        phase = SCHEDULE.reached(seen).phase
        seconds = slower * BATCH * COSTS[SCHEDULE.phases.index(phase)]
        clock += seconds
        pace.stepped(phase, BATCH, seconds)
        if seen in LOOKS:
            looked = seen
            clock += LOOK[phase.size]
            pace.looked(phase.size, LOOK[phase.size])
        told.append((seen, clock, pace.seconds_left(seen, looked)))
    return [(seen, clock - now, said) for seen, now, said in told]


@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0])
def test_the_time_left_is_about_right_from_the_first_row_on(slower: float) -> None:
    rows = trained(Eta(SCHEDULE, LOOKS, 0, COSTS), slower)
    for seen, left, said in rows:
        looks = sum(LOOK[SCHEDULE.reached(at).phase.size] for at in LOOKS if at > seen)
        # steps are known by their calibration, corrected by what they really take; looks as they have been
        assert abs(said - left) < 0.02 * left + looks + 0.01, (seen, left, said)
    assert rows[-1][2] == 0
    seen, left, _ = rows[59]  # a quarter of the images, of which the later ones cost far more
    spent = slower * sum(
        (p.end - p.start) * cost for p, cost in zip(SCHEDULE.phases, COSTS, strict=True) if p.end <= seen
    )
    assert left > 10 * spent * (SCHEDULE.images - seen) / seen


def test_a_machine_that_becomes_slower_is_noticed() -> None:
    pace = Eta(SCHEDULE, [], 0, COSTS)
    stable = SCHEDULE.phases[0]
    for _ in range(100):
        pace.stepped(stable, BATCH, BATCH * COSTS[0])
    before = pace.seconds_left(stable.end, 0)
    for _ in range(100):
        pace.stepped(stable, 100, 400 * COSTS[0] * 25)
    assert pace.seconds_left(stable.end, 0) > 10 * before


def test_what_was_measured_goes_through_a_checkpoint() -> None:
    pace, again = (Eta(SCHEDULE, LOOKS, 64, costs) for costs in (COSTS, [0.0] * len(COSTS)))
    pace.stepped(SCHEDULE.phases[1], 40, 9.0)
    pace.looked(8, 2.5)
    again.load(json.loads(json.dumps(pace.state())))
    for seen in (0, 300, 1900):
        assert again.seconds_left(seen, 0) == pace.seconds_left(seen, 0)
