"""Channels and labels: content, JSON round trip, validation."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels, DisplayGroup, Label

RED = "#ff0000"
_names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@st.composite
def channels(draw: st.DrawFn) -> Channels:
    modalities = tuple(draw(st.lists(_names, min_size=1, max_size=6, unique=True)))
    values = draw(st.lists(st.integers(1, 255), max_size=5, unique=True))
    names = draw(st.lists(_names, min_size=len(values), max_size=len(values), unique=True))
    groups = ()
    if len(modalities) >= 3 and draw(st.booleans()):
        groups = (DisplayGroup("colour", modalities[:3]), *(DisplayGroup(m, (m,)) for m in modalities[3:]))
    return Channels(modalities, tuple(Label(v, n, RED) for v, n in zip(values, names, strict=True)), groups)


@given(channels())
def test_channels_survive_a_json_round_trip(one: Channels) -> None:
    assert Channels.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_label_values_of_the_source_are_preserved() -> None:
    brats = Channels(("t1",), (Label(1, "core", RED), Label(4, "rim", RED), Label(2, "oedema", RED)))
    np.testing.assert_array_equal(brats.values, [1, 4, 2])
    assert brats.values.dtype == np.uint8
    assert brats.label("rim").value == 4
    assert brats.undeclared(np.array([[0, 1, 3], [4, 9, 2]])) == [3, 9]
    assert brats.undeclared(np.zeros((2, 2))) == []


def test_each_modality_gets_its_own_display_group_by_default() -> None:
    assert [g.modalities for g in Channels(("t1", "t2")).groups] == [("t1",), ("t2",)]
    photo = Channels(("r", "g", "b"), (), (DisplayGroup("fundus", ("r", "g", "b")),))
    assert [g.is_rgb for g in photo.groups] == [True]


def test_hex_colours_become_rgb_fractions() -> None:
    assert Label(1, "a", "#ff8000").rgb == pytest.approx((1.0, 128 / 255, 0.0))


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda: Channels(()), "no modality"),
        (lambda: Channels(("t1", "t1")), "modality 't1'.*twice"),
        (lambda: Channels(("t1",), (Label(1, "a", RED), Label(1, "b", RED))), "label value 1 .*twice"),
        (lambda: Channels(("t1",), (Label(1, "a", RED), Label(2, "a", RED))), "label name 'a'.*twice"),
        (lambda: Channels(("t1",), (), (DisplayGroup("x", ("t2",)),)), "'t2'.*not a modality; name one of t1"),
        (lambda: DisplayGroup("x", ("t1", "t2")), "one .grey. or three .RGB."),
        (lambda: Label(0, "background", RED), "from 1 to 255"),
        (lambda: Label(256, "a", RED), "from 1 to 255"),
        (lambda: Label(1, "a", "red"), "#rrggbb"),
        (lambda: Label(1, "a", "#ff00000"), "#rrggbb"),
        (lambda: Channels(("t1",), (Label(1, "a", RED),)).label("b"), "label 'b'.*: a"),
    ],
)
def test_invalid_channels_are_rejected(make: Any, pattern: str) -> None:
    with pytest.raises(InputError, match=pattern):
        make()
