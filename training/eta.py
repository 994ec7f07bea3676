"""How long the rest of a training will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_pgan.training.schedule import Phase, Schedule

_MEMORY = 60.0  # seconds after which a measured speed counts half
_TRUSTED = 3.0  # seconds of steps after which a phase's own speed is believed


class Eta:
    """Speeds of all phases: calibrated ones, corrected by how fast it really goes, and measured ones where there are.

    A later size can cost a hundred times the present one, so the images seen say little of the time.

    Parameters
    ----------
    schedule
        Of the training.
    looks
        After how many images it is looked at.
    samples
        How many samples a look draws.
    costs
        Seconds an image, by phase, from a calibration.
    """

    def __init__(self, schedule: Schedule, looks: Sequence[int], samples: int, costs: Sequence[float]) -> None:
        self.schedule, self.looks, self.samples, self.costs = schedule, looks, samples, list(costs)
        self._measured = [[0.0, 0.0] for _ in self.costs]  # images, seconds
        self._real, self._expected = 0.0, 0.0  # seconds of late
        self._look_seconds: dict[int, float] = {}  # by size

    def stepped(self, phase: Phase, images: int, seconds: float) -> None:
        """Take in that so many images of a phase took so long."""
        index, fade = self.schedule.phases.index(phase), 0.5 ** (seconds / _MEMORY)
        own = self._measured[index]
        own[:] = own[0] * fade + images, own[1] * fade + seconds
        self._real = self._real * fade + seconds
        self._expected = self._expected * fade + images * self.costs[index]

    def looked(self, size: int, seconds: float) -> None:
        """Take in how long a look took."""
        self._look_seconds[size] = seconds

    def seconds_left(self, seen: int, looked: int) -> float:
        """The time that the rest takes, after so many images and, last, a look after so many."""
        steps = (self._cost(i) * max(p.end - max(p.start, seen), 0) for i, p in enumerate(self.schedule.phases))
        return sum(steps) + sum(self._look(at) for at in self.looks if at > looked)

    def state(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        looks = {str(size): seconds for size, seconds in self._look_seconds.items()}
        late = [self._real, self._expected]
        return {"costs": self.costs, "measured": self._measured, "late": late, "looks": looks}

    def load(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        self.costs, self._measured = state["costs"], state["measured"]
        self._real, self._expected = state["late"]
        self._look_seconds = {int(size): seconds for size, seconds in state["looks"].items()}

    def _cost(self, index: int) -> float:
        images, seconds = self._measured[index]
        if seconds > _TRUSTED:
            return seconds / images
        return self.costs[index] * (self._real / self._expected if self._expected else 1.0)

    def _look(self, at: int) -> float:
        phase = self.schedule.at(at - 1).phase
        if phase.size in self._look_seconds:
            return self._look_seconds[phase.size]
        guess = look_guess(self.samples, self._cost(self.schedule.phases.index(phase)))
        return max(guess, max(self._look_seconds.values(), default=0.0))


def look_guess(samples: int, cost: float) -> float:
    """About how long a look takes (seconds), where an image of a step costs that much.

    A sample is one pass through one network, where a step has about ten for each of its images; the distance and the
    refitted heads take as long again, and half as much.
    """
    return 0.25 * samples * cost
