"""Orientation and brain outlines in the pictures of the quality page."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from napari_pgan.imaging.io.volume import Volume, orient
from napari_pgan.imaging.normalise.intensity import Foreground
from napari_pgan.imaging.registration.pictures import BRAIN_MARGIN, GAP, LINE, Box, WindowedVolume, outline, overlay

SHAPE = (60, 80, 70)
AFFINE = np.array([[-2.0, 0, 0, 69], [0, -2, 0, 79], [0, 0, 2, -59], [0, 0, 0, 1]])  # counts to S, P and L


def _ball(middle: tuple[float, float, float], radius: float) -> np.ndarray:
    """Mask of a ball given in RAS mm."""
    z, y, x = np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij")
    points = np.stack([x, y, z], -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    found: np.ndarray = np.linalg.norm(points - middle, axis=-1) < radius
    return found


def _shown(spots: np.ndarray, axes: str = "SPL") -> WindowedVolume:
    head = _ball((0, 0, 0), 50)
    volume = orient(Volume(np.where(spots, 100.0, np.where(head, 20.0, 0.0)).astype(np.float32), AFFINE), axes)
    return WindowedVolume(volume, 0.0, 100.0)


def _planes(row: np.ndarray) -> list[np.ndarray]:
    """Split a row into its three planes of equal width."""
    n = (row.shape[1] - 2 * GAP) // 3
    return [row[:, i * (n + GAP) : i * (n + GAP) + n] for i in range(3)]


@pytest.mark.parametrize("axes", ["SPL", "RAI", "PIR"])
@pytest.mark.parametrize(
    ("side", "halves"),
    [
        ((30.0, 0.0, 0.0), {0: (slice(None), slice(0, 60)), 1: (slice(None), slice(0, 60))}),  # right: on the left
        ((0.0, 30.0, 0.0), {0: (slice(0, 60), slice(None)), 2: (slice(None), slice(0, 60))}),  # forward
        ((0.0, 0.0, 30.0), {1: (slice(0, 60), slice(None)), 2: (slice(0, 60), slice(None))}),  # up
    ],
)
def test_planes_follow_the_radiological_convention(
    axes: str, side: tuple[float, float, float], halves: dict[int, tuple[slice, slice]]
) -> None:
    shown = _shown(_ball(side, 8), axes)
    ends = np.array([[-50.0] * 3, [50.0] * 3])
    picture = overlay(shown, shown, Box.around(ends), np.eye(4))
    height = (len(picture) - GAP) // 2
    for row in (picture[:height], picture[height + GAP :]):
        for i, plane in enumerate(_planes(row)):
            bright = plane[20:-20, 20:-20, 0] > 153  # not the letters
            if i not in halves:
                continue
            half = np.zeros(plane.shape[:2], bool)
            half[halves[i]] = True
            assert bright.sum() == pytest.approx(np.pi * 8**2, rel=0.15)  # a millimetre is a pixel
            assert not bright[~half[20:-20, 20:-20]].any()


def test_each_plane_has_side_letters() -> None:
    shown = _shown(np.zeros(SHAPE, bool))
    picture = overlay(shown, shown, Box.around(np.array([[-50.0] * 3, [50.0] * 3])), np.eye(4))
    height = (len(picture) - GAP) // 2
    planes = _planes(picture[:height])
    middle = slice(height // 2 - 10, height // 2 + 10)
    sides = [(plane[middle, :16, 0] > 200, plane[middle, -16:, 0] > 200) for plane in planes]
    assert all(left.any() and right.any() for left, right in sides)
    (right, left), coronal, (front, back) = sides
    np.testing.assert_array_equal(right, coronal[0])
    np.testing.assert_array_equal(left, coronal[1])
    assert not np.array_equal(right, front)
    assert not np.array_equal(left, back)


def test_before_and_after_differ_by_the_motion() -> None:
    """The moving image is displaced by 12 mm to the left."""
    fixed, there = _shown(_ball((0, 0, 0), 20)), np.eye(4)
    there[0, 3] = -12
    aside = there @ AFFINE
    moving = WindowedVolume(Volume(fixed.volume.array, aside), 0.0, 100.0)
    box = Box.around(np.array([[-50.0] * 3, [50.0] * 3]))
    picture = overlay(fixed, moving, box, there)
    height = (len(picture) - GAP) // 2
    same = overlay(fixed, fixed, box, np.eye(4))
    inner = (slice(25, height), slice(20, -20))
    np.testing.assert_allclose(picture[height + GAP :][inner], same[height + GAP :][inner], atol=2)
    assert np.abs(picture[:height][inner].astype(int) - same[:height][inner]).max() > 50


def test_the_outline_follows_the_brain_border() -> None:
    brain = _ball((4, -6, 2), 34)
    picture = outline(WindowedVolume.of(_shown(brain).volume, Foreground(brain, 0.0, True)), brain)
    line = (picture == LINE).all(axis=-1)
    n = 2 * (34 + int(BRAIN_MARGIN))
    axial = [line[:n, i * (n + GAP) : i * (n + GAP) + n] for i in range(4)]
    for share, plane in zip((0.2, 0.4, 0.6, 0.8), axial, strict=True):
        radius = np.sqrt(34**2 - (68 * (share - 0.5)) ** 2)
        across = np.flatnonzero(plane.any(axis=0))
        assert across[-1] - across[0] == pytest.approx(2 * radius, abs=3)
        inside = plane[plane.shape[0] // 2, across[0] + 3 : across[-1] - 2]
        assert not inside.any()
        assert plane.sum() == pytest.approx(4 * np.sqrt(2) * radius, rel=0.3)  # of a digital circle, less the letters
    assert all(abs(a.sum() - b.sum()) < 0.3 * b.sum() for a, b in pairwise([axial[0], axial[3]]))
