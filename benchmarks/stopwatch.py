"""Timing that is robust on a busy or drifting machine: all cases in turn over many rounds, medians and ratios.

A ratio is the median of the ratios within rounds, in which the cases run one after another, so that a temporary
slowdown affects both sides. On a busy machine, use processor time for a single thread (`use_processor_time`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

_clock = time.perf_counter


def use_processor_time() -> None:
    """Measure this process's processor time instead of wall-clock time from now on."""
    global _clock
    _clock = time.process_time


def now() -> float:
    """Seconds on the current clock."""
    return _clock()


@dataclass(frozen=True)
class Times:
    """Seconds of one case in each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def faster_than(self, other: Times) -> float:
        """Speed relative to `other`, which was timed in the same rounds."""
        return statistics.median(b / a for a, b in zip(self.seconds, other.seconds, strict=True))

    def range_of(self, other: Times) -> tuple[float, float]:
        """First and third quartile of the ratios within rounds."""
        ratios = [b / a for a, b in zip(self.seconds, other.seconds, strict=True)]
        if len(ratios) < 2:
            return ratios[0], ratios[0]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high


def blend(parts: Sequence[tuple[Times, float]]) -> Times:
    """The weighted mean of cases in each round, such as steps with and without a lazy penalty; weights sum to one."""
    rounds = zip(*(times.seconds for times, _ in parts), strict=True)
    return Times(tuple(sum(w * s for (_, w), s in zip(parts, row, strict=True)) for row in rounds))


def interleave(
    cases: Mapping[str, Callable[[], object]], rounds: int, device: torch.device | str = "cpu", warm: int = 1
) -> dict[str, Times]:
    """Time every case once per round; the order rotates by one from round to round.

    Parameters
    ----------
    cases
        Name → function to time.
    rounds
        Number of rounds.
    device
        Synchronised before and after each call.
    warm
        Number of warm-up rounds.
    """
    names, seconds = list(cases), {name: [] for name in cases}
    for round_ in range(-warm, rounds):
        turn = round_ % len(names)
        for name in names[turn:] + names[:turn]:
            wait_for(device)
            start = now()
            cases[name]()
            wait_for(device)
            if round_ >= 0:
                seconds[name].append(now() - start)
    return {name: Times(tuple(found)) for name, found in seconds.items()}


def wait_for(device: torch.device | str) -> None:
    """Wait until the device has finished its work."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()
