"""Timing that a busy or drifting machine disturbs little: all cases in turn, many times; medians, neighbours' ratios.

A ratio is the median of the ratios within single rounds, in which all cases run right after each other. What slows the
machine for a while slows both sides of a ratio. On a machine that others use, one thread is timed better by the
processor time that it got (`use_processor_time`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

_clock = time.perf_counter


def use_processor_time() -> None:
    """From now on count the processor's time in this process instead of the wall clock's."""
    global _clock
    _clock = time.process_time


def now() -> float:
    """Seconds on the clock in use."""
    return _clock()


@dataclass(frozen=True)
class Times:
    """Seconds of one case, a figure a round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def faster_than(self, other: Times) -> float:
        """How many times as fast as `other`, timed in the same rounds."""
        return statistics.median(b / a for a, b in zip(self.seconds, other.seconds, strict=True))

    def range_of(self, other: Times) -> tuple[float, float]:
        """First and third quartile of the single rounds' ratios."""
        ratios = [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]
        if len(ratios) < 2:
            return ratios[0], ratios[0]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high


def blend(parts: Sequence[tuple[Times, float]]) -> Times:
    """A mean of cases by weights that sum to one, round by round: a step whose penalty is taken now and then."""
    rounds = zip(*(times.seconds for times, _ in parts), strict=True)
    return Times(tuple(sum(w * s for (_, w), s in zip(parts, row, strict=True)) for row in rounds))


def interleave(
    cases: Mapping[str, Callable[[], object]], rounds: int, device: torch.device | str = "cpu", warm: int = 1
) -> dict[str, Times]:
    """Time every case once a round, in an order that turns by one from round to round.

    Parameters
    ----------
    cases
        Name → what is timed.
    rounds
        How often.
    device
        Waited for before and after each call.
    warm
        Rounds before those that count.
    """
    names, seconds = list(cases), {name: [] for name in cases}
    for round_ in range(-warm, rounds):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            wait_for(device)
            began = now()
            cases[name]()
            wait_for(device)
            if round_ >= 0:
                seconds[name].append(now() - began)
    return {name: Times(tuple(found)) for name, found in seconds.items()}


def wait_for(device: torch.device | str) -> None:
    """Return when the device has done all it was given."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()
