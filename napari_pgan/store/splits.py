"""Assign subjects, never single slices, to train, val and test."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from napari_pgan.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class SplitRule:
    """Sizes of the splits.

    Parameters
    ----------
    fractions
        Fractions in train, val and test, with sum 1. Used if `numbers` is None.
    numbers
        Subjects in train, val and test. Additional subjects go to train.
    """

    fractions: tuple[float, float, float] = (0.75, 0.125, 0.125)
    numbers: tuple[int, int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> SplitRule:
        """Parse ``0.75,0.125,0.125`` (train, val, test) or ``train=18,val=3,test=3``.

        Raises
        ------
        InputError
            The text has neither form.
        """
        parts = [part.strip() for part in text.split(",")]
        try:
            if "=" in text:
                named = {name.strip(): int(value) for name, value in (part.split("=") for part in parts)}
                if len(named) == len(parts) and set(named) <= set(SPLITS) and min(named.values()) >= 0:
                    train, val, test = (named.get(name, 0) for name in SPLITS)
                    return cls(numbers=(train, val, test))
            else:
                a, b, c = (float(part) for part in parts)
                if min(a, b, c) >= 0 and math.isclose(a + b + c, 1, abs_tol=1e-3):
                    return cls(fractions=(a, b, c))
        except ValueError:
            pass
        raise InputError(
            f"--split {text!r} is not valid; give three fractions with sum 1 (0.75,0.125,0.125) or counts "
            "(train=18,val=3,test=3)"
        )

    def __str__(self) -> str:
        if self.numbers is not None:
            return ",".join(f"{name}={number}" for name, number in zip(SPLITS, self.numbers, strict=True))
        return ",".join(f"{fraction:g}" for fraction in self.fractions)

    def targets(self, total: int) -> dict[str, int]:
        """Return the target size of each split; the sizes sum to `total`.

        Fractions are rounded by largest remainder. From four subjects on, each split with a positive fraction gets at
        least one. With too few subjects for the given numbers, test is filled first, then val.
        """
        if self.numbers is not None:
            _, val, test = self.numbers
            test = min(test, total)
            val = min(val, total - test)
            return {"train": total - test - val, "val": val, "test": test}
        exact = [fraction * total for fraction in self.fractions]
        counts = [math.floor(number + 1e-9) for number in exact]
        by_remainder = sorted(range(3), key=lambda i: counts[i] - exact[i])
        for i in by_remainder[: total - sum(counts)]:
            counts[i] += 1
        if total >= 4:
            for i in range(3):
                if counts[i] == 0 and self.fractions[i] > 0:
                    counts[i] += 1
                    counts[counts.index(max(counts))] -= 1
        return dict(zip(SPLITS, counts, strict=True))


def assign(keys: Iterable[str], rule: SplitRule, existing: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the split of each key; existing splits stay, new keys fill the splits up to their target sizes.

    Keys are hashes, so their sorted order is a reproducible random order. The result depends only on the arguments.

    Parameters
    ----------
    keys
        Subjects to assign.
    rule
        Sizes of the splits.
    existing
        Splits assigned earlier, by key.
    """
    assigned = {key: split for key, split in (existing or {}).items() if split in SPLITS}
    new = sorted(set(keys) - set(assigned))
    targets = rule.targets(len(assigned) + len(new))
    have = Counter(assigned.values())
    missing = [split for split in ("test", "val", "train") for _ in range(targets[split] - have[split])]
    # An existing split above its target leaves fewer free places than new subjects; there are never more.
    for key, split in zip(new, _spread(missing, len(new), targets), strict=True):
        assigned[key] = split
    return assigned


def _spread(missing: list[str], places: int, targets: Mapping[str, int]) -> list[str]:
    """Reduce the missing places to `places`, proportionally per split, in a fixed order."""
    wanted = Counter(missing)
    while sum(wanted.values()) > places:
        largest = max(wanted, key=lambda split: (wanted[split] / max(targets[split], 1), split == "train"))
        wanted[largest] -= 1
    return [split for split in ("test", "val", "train") for _ in range(wanted[split])]
