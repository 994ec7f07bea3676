"""Who trains, who validates, who tests: by subject, never by slice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from napari_pgan.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class SplitRule:
    """How many subjects go where.

    Parameters
    ----------
    fractions
        Shares of train, val and test; they sum to 1. Used when `numbers` is None.
    numbers
        Subjects in train, val and test. What is there beyond their sum trains.
    """

    fractions: tuple[float, float, float] = (0.75, 0.125, 0.125)
    numbers: tuple[int, int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> SplitRule:
        """From ``0.75,0.125,0.125`` (train, val, test) or ``train=18,val=3,test=3``.

        Raises
        ------
        InputError
            The text is neither.
        """
        parts = [part.strip() for part in text.split(",")]
        try:
            if "=" in text:
                pairs = [part.split("=") for part in parts]
                named = {name.strip(): int(value) for name, value in pairs}
                if len(named) == len(parts) and set(named) <= set(SPLITS) and min(named.values()) >= 0:
                    train, val, test = (named.get(name, 0) for name in SPLITS)
                    return cls(numbers=(train, val, test))
            else:
                train_share, val_share, test_share = (float(part) for part in parts)
                shares = (train_share, val_share, test_share)
                if min(shares) >= 0 and math.isclose(sum(shares), 1, abs_tol=1e-3):
                    return cls(fractions=shares)
        except ValueError:
            pass
        raise InputError(
            f"--split {text!r} is not understood; give three shares that sum to 1 (0.75,0.125,0.125) "
            "or counts (train=18,val=3,test=3)"
        )

    def __str__(self) -> str:
        if self.numbers is not None:
            return ",".join(f"{name}={number}" for name, number in zip(SPLITS, self.numbers, strict=True))
        return ",".join(f"{share:g}" for share in self.fractions)

    def targets(self, total: int) -> dict[str, int]:
        """How many of `total` subjects each split is to hold; the numbers sum to `total`.

        Shares are rounded by largest remainder. From four subjects on, a split with a share gets one at least.
        Counts come first for test and val when there are fewer subjects than they sum to.
        """
        if self.numbers is not None:
            _, val, test = self.numbers
            test = min(test, total)
            val = min(val, total - test)
            return {"train": total - test - val, "val": val, "test": test}
        exact = [share * total for share in self.fractions]
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
    """Give every key a split; who has one keeps it, the others fill up what the rule lacks.

    Keys are hashes, so their order is as good as a lottery, and it is the same lottery every time: the assignment
    depends on nothing but the keys, the rule and what was there before.

    Parameters
    ----------
    keys
        The subjects of the store.
    rule
        How many go where.
    existing
        Splits of earlier subjects.
    """
    assigned = {key: split for key, split in (existing or {}).items() if split in SPLITS}
    new = sorted(set(keys) - set(assigned))
    targets = rule.targets(len(assigned) + len(new))
    have = Counter(assigned.values())
    missing = [split for split in ("test", "val", "train") for _ in range(targets[split] - have[split])]
    # A split that holds more than its target from before leaves fewer places than subjects wait for; none leaves more.
    for key, split in zip(new, _spread(missing, len(new), targets), strict=True):
        assigned[key] = split
    return assigned


def _spread(missing: list[str], places: int, targets: Mapping[str, int]) -> list[str]:
    """Choose `places` of the missing ones, so that each split loses in proportion; in a fixed order."""
    wanted = Counter(missing)
    while sum(wanted.values()) > places:
        largest = max(wanted, key=lambda split: (wanted[split] / max(targets[split], 1), split == "train"))
        wanted[largest] -= 1
    return [split for split in ("test", "val", "train") for _ in range(wanted[split])]
