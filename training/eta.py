"""Estimate the time that the rest of a training takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_pgan.training.schedule import Phase, Schedule

_HALFLIFE = 60.0  # seconds after which the weight of a measurement halves
_TRUSTED = 3.0  # seconds of steps after which a phase's own speed replaces its calibrated one


class Eta:
    """Speeds of all phases: measured in the phase itself, or calibrated and corrected by the speed so far.

    A later size can cost a hundred times as much as the present one, so the share of images seen is no estimate.

    Parameters
    ----------
    snapshots
        Images seen at each snapshot.
    samples
        Samples that a snapshot draws.
    costs
        Seconds per image for each phase, from a calibration.
    """

    def __init__(self, schedule: Schedule, snapshots: Sequence[int], samples: int, costs: Sequence[float]) -> None:
        self.schedule, self.snapshots, self.samples, self.costs = schedule, snapshots, samples, list(costs)
        self._measured = [[0.0, 0.0] for _ in self.costs]  # images, seconds
        self._real, self._expected = 0.0, 0.0  # seconds of recent steps
        self._snapshot_seconds: dict[int, float] = {}  # by size

    def add_steps(self, phase: Phase, images: int, seconds: float) -> None:
        """Record the time that steps of a phase took."""
        index, fade = self.schedule.phases.index(phase), 0.5 ** (seconds / _HALFLIFE)
        own = self._measured[index]
        own[:] = own[0] * fade + images, own[1] * fade + seconds
        self._real = self._real * fade + seconds
        self._expected = self._expected * fade + images * self.costs[index]

    def add_snapshot(self, size: int, seconds: float) -> None:
        """Record the time that a snapshot took."""
        self._snapshot_seconds[size] = seconds

    def seconds_left(self, seen: int, last_snapshot: int) -> float:
        """Return the time left after `seen` images, if the last snapshot was taken at `last_snapshot` images."""
        steps = (self._cost(i) * max(p.end - max(p.start, seen), 0) for i, p in enumerate(self.schedule.phases))
        return sum(steps) + sum(self._snapshot(at) for at in self.snapshots if at > last_snapshot)

    def state(self) -> dict[str, Any]:
        """Return the state as JSON, for a checkpoint."""
        looks = {str(size): seconds for size, seconds in self._snapshot_seconds.items()}
        late = [self._real, self._expected]
        return {"costs": self.costs, "measured": self._measured, "late": late, "looks": looks}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.costs, self._measured = state["costs"], state["measured"]
        self._real, self._expected = state["late"]
        self._snapshot_seconds = {int(size): seconds for size, seconds in state["looks"].items()}

    def _cost(self, index: int) -> float:
        images, seconds = self._measured[index]
        if seconds > _TRUSTED:
            return seconds / images
        return self.costs[index] * (self._real / self._expected if self._expected else 1.0)

    def _snapshot(self, at: int) -> float:
        phase = self.schedule.at(at - 1).phase
        if phase.size in self._snapshot_seconds:
            return self._snapshot_seconds[phase.size]
        guess = guess_snapshot_seconds(self.samples, self._cost(self.schedule.phases.index(phase)))
        return max(guess, max(self._snapshot_seconds.values(), default=0.0))


def guess_snapshot_seconds(samples: int, cost: float) -> float:
    """Estimate the seconds of a snapshot from the seconds that a step takes for one image.

    A step passes each image through a network about ten times, a sample passes once. The distance takes about as long
    as the samples, and refitting the heads half as long.
    """
    return 0.25 * samples * cost
