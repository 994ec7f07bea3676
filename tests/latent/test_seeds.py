"""Lists of seeds as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.latent import seeds as seeds_module
from napari_pgan.latent.seeds import format_seeds, parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5", [5]), ("0-3", [0, 1, 2, 3]), ("0-2,70", [0, 1, 2, 70]), (" 9 , 3 - 4 ", [9, 3, 4]), ("7-7", [7])],
)
def test_ranges_include_both_ends(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20, unique=True))
def test_formatted_seeds_are_parsed_back(seeds: list[int]) -> None:
    assert parse_seeds(format_seeds(seeds)) == seeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a list of seeds"), ("a", "not a list of seeds"), ("1,,2", "not a list of seeds"),
        ("-3", "not a list of seeds"),
        ("1-2-3", "not a list of seeds"), ("1.5", "not a list of seeds"), ("9-3", "write 3-9"),
        ("4294967296", "out of range"),
        ("1,2,1", "seed 1 is given twice"), ("0-5,3", "seed 3 is given twice"), ("0-4000000000", "more than 1000000"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_seeds(text)


def test_a_repeated_seed_is_found_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    class CountingInt(int):
        """An int that counts its comparisons."""

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    monkeypatch.setattr(seeds_module, "range", lambda *ends: map(CountingInt, range(*ends)), raising=False)
    count = 100_000
    with pytest.raises(InputError, match=f"seed {count - 1} is given twice"):
        parse_seeds(f"0-{count - 1},{count - 1}")
    assert compared < 2 * count
