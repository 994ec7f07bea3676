"""The estimated time left, for a schedule in which a later size costs a hundred times as much as an early one."""

from __future__ import annotations

import json

import pytest

from napari_pgan.training.eta import Eta
from napari_pgan.training.recipe import Recipe, Size
from napari_pgan.training.schedule import Schedule

BATCH = 10
SIZES = {size: Size(width=8, batch=BATCH, fade=200, stable=400) for size in (4, 8, 16, 32)}
SCHEDULE = Schedule(Recipe(name="test", description="", sizes=SIZES), 32)
COSTS = [0.001 * 6**phase.stage * (1.2 if phase.fading else 1) for phase in SCHEDULE.phases]  # seconds per image
SNAPSHOTS = [600, 1200, 1800, 2400]
SNAPSHOT_SECONDS = {4: 1.0, 8: 2.0, 16: 6.0, 32: 20.0}


def simulate(eta: Eta, slowdown: float) -> list[tuple[int, float, float]]:
    """Simulate a training that is slower than calibrated: images, true and estimated seconds left of each row."""
    clock, last_snapshot, rows = 0.0, 0, []
    for seen in range(BATCH, SCHEDULE.images + 1, BATCH):
        phase = SCHEDULE.reached(seen).phase
        seconds = slowdown * BATCH * COSTS[SCHEDULE.phases.index(phase)]
        clock += seconds
        eta.add_steps(phase, BATCH, seconds)
        if seen in SNAPSHOTS:
            last_snapshot = seen
            clock += SNAPSHOT_SECONDS[phase.size]
            eta.add_snapshot(phase.size, SNAPSHOT_SECONDS[phase.size])
        rows.append((seen, clock, eta.seconds_left(seen, last_snapshot)))
    return [(seen, clock - now, estimate) for seen, now, estimate in rows]


@pytest.mark.parametrize("slowdown", [0.5, 1.0, 3.0])
def test_estimate_is_about_right_from_the_first_row(slowdown: float) -> None:
    rows = simulate(Eta(SCHEDULE, SNAPSHOTS, 0, COSTS), slowdown)
    for seen, left, estimate in rows:
        snapshots = sum(SNAPSHOT_SECONDS[SCHEDULE.reached(at).phase.size] for at in SNAPSHOTS if at > seen)
        # steps are estimated from the calibration and the speed so far, snapshots from earlier ones
        assert abs(estimate - left) < 0.02 * left + snapshots + 0.01, (seen, left, estimate)
    assert rows[-1][2] == 0
    seen, left, _ = rows[59]  # after a quarter of the images, the cheap ones
    spent = slowdown * sum(
        (p.end - p.start) * cost for p, cost in zip(SCHEDULE.phases, COSTS, strict=True) if p.end <= seen
    )
    assert left > 10 * spent * (SCHEDULE.images - seen) / seen


def test_slowdown_raises_the_estimate() -> None:
    eta = Eta(SCHEDULE, [], 0, COSTS)
    stable = SCHEDULE.phases[0]
    for _ in range(100):
        eta.add_steps(stable, BATCH, BATCH * COSTS[0])
    before = eta.seconds_left(stable.end, 0)
    for _ in range(100):
        eta.add_steps(stable, 100, 400 * COSTS[0] * 25)
    assert eta.seconds_left(stable.end, 0) > 10 * before


def test_state_survives_a_checkpoint() -> None:
    eta, restored = (Eta(SCHEDULE, SNAPSHOTS, 64, costs) for costs in (COSTS, [0.0] * len(COSTS)))
    eta.add_steps(SCHEDULE.phases[1], 40, 9.0)
    eta.add_snapshot(8, 2.5)
    restored.load(json.loads(json.dumps(eta.state())))
    for seen in (0, 300, 1900):
        assert restored.seconds_left(seen, 0) == eta.seconds_left(seen, 0)
