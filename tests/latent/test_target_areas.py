"""Target areas: segmentations requested by numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pgan.errors import InputError
from napari_pgan.latent.steering import TargetAreas
from napari_pgan.model.label_encoding import Encoding
from napari_pgan.schema import Channels, Grid, Label

CHANNELS = Channels(("t1",), (Label(1, "core", "#ff0000"), Label(4, "rim", "#00ff00")))
GRID = Grid((16, 16), (2.0, 3.0), "PL")  # columns run to the patient's left; a pixel has 6 mm²


def picture(core: int, rim: int, left: bool) -> np.ndarray:
    """Return a label map with the given number of pixels of each label on one side."""
    half = np.zeros((16, 8), np.uint8)
    half.ravel()[:core] = 1
    half.ravel()[core : core + rim] = 4
    return np.hstack([np.zeros_like(half), half] if left else [half, np.zeros_like(half)])


def test_meeting_all_target_areas_gives_the_full_score() -> None:
    target = TargetAreas(CHANNELS, GRID, {1: 60}, lesion=240, shares={4: 0.75}, side="left")
    labels = np.stack([picture(10, 30, True), picture(10, 30, False), picture(20, 20, True), np.zeros((16, 16), int)])
    scores = target.score(labels)
    assert scores[0] == pytest.approx(1)
    assert scores[1] == pytest.approx(0.75)  # one of four targets is missed completely
    assert scores[2] == pytest.approx(1 - (1 + 0 + 0.25 + 0) / 4)
    assert scores[3] == 0
    assert target.measure(labels[0]) == {
        "core": 60, "rim": 180, "lesion": 240, "core, share": 0.25, "rim, share": 0.75, "left": 1.0
    }  # fmt: skip


def test_the_side_is_the_patients_if_the_grid_has_an_orientation() -> None:
    as_photographed = Grid((16, 16))
    for side, on_right_columns in (("left", False), ("right", True)):
        target = TargetAreas(CHANNELS, as_photographed, side=side)  # type: ignore[arg-type]
        assert target.score(picture(10, 10, left=on_right_columns)[None]) == 1
    with pytest.raises(InputError, match="one side"):
        TargetAreas(CHANNELS, Grid((16, 16), (1, 1), "SP"), side="left")


def test_gradients_and_the_bank_prefer_better_scores() -> None:
    """At every size, images that encode the target have the lowest loss and the greatest similarity."""
    target, encoding = TargetAreas(CHANNELS, GRID, lesion=240, shares={4: 0.75}, side="left"), Encoding(CHANNELS)
    labels = np.stack([picture(10, 30, True), picture(30, 30, True), picture(40, 0, True), picture(10, 30, False)])
    fractions = encoding.fractions(torch.from_numpy(labels))
    for factor in (1, 2):
        small = torch.nn.functional.avg_pool2d(fractions, factor)
        x = encoding.encode(torch.zeros(4, 1, 16 // factor, 16 // factor), small)
        assert int(target.objective(encoding, factor)(x).argmin()) == 0
        assert int(target.similarity((small * 255).round().to(torch.uint8), factor).argmax()) == 0
    x = encoding.encode(torch.zeros(4, 1, 16, 16), fractions).requires_grad_(True)
    target.objective(encoding)(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "give an area"),
        ({"areas": {2: 10}}, "no label 2"),
        ({"areas": {1: -1}}, "impossible"),
        ({"lesion": 1e6}, "impossible"),
        ({"lesion": float("nan")}, "impossible"),
        ({"shares": {1: 0.7, 4: 0.7}}, "add up"),
        ({"side": "up"}, "left or right"),
    ],
)
def test_impossible_numbers_are_refused(wrong: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=message):
        TargetAreas(CHANNELS, GRID, **wrong)
