"""Parse and format lists of seeds such as ``0-63,70``."""

from __future__ import annotations

import re

from napari_pgan.errors import InputError

_MOST = 1_000_000


def parse_seeds(text: str) -> list[int]:
    """Parse a list of seeds and ranges, keeping its order; ranges include both ends.

    Raises
    ------
    InputError
        The text is not a list of seeds, a range is reversed, a seed is too large or repeated, or there are more than
        a million.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,10})\s*(?:-\s*(\d{1,10})\s*)?", part, re.ASCII)
        if not found:
            raise InputError(f"{text!r} is not a list of seeds; write it as 0-63 or 3,8,20-25")
        first = int(found[1])
        last = first if found[2] is None else int(found[2])
        if last < first:
            raise InputError(f"the range of seeds {part.strip()!r} is reversed; write {last}-{first}")
        if last >= 2**32:
            raise InputError(f"seed {last} is out of range; seeds go from 0 to {2**32 - 1}")
        if len(seeds) + last - first >= _MOST:
            raise InputError(f"{text!r} names more than {_MOST} seeds; sample them in several calls")
        seeds.extend(range(first, last + 1))
    seen: set[int] = set()
    for seed in seeds:
        if seed in seen:
            raise InputError(f"seed {seed} is given twice in {text!r}; name each seed once")
        seen.add(seed)
    return seeds


def format_seeds(seeds: list[int]) -> str:
    """Format seeds as the shortest list that `parse_seeds` reads back."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1][1:] = [seed]
        else:
            parts.append([seed])
    return ",".join("-".join(map(str, part)) for part in parts)
