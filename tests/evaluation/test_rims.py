"""Rims along labels are distinguished from anatomy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter

from napari_pgan.evaluation.segmentation.rims import rims


@pytest.fixture(scope="module")
def heads() -> tuple[np.ndarray, np.ndarray]:
    """Discs of smooth texture in one modality, with a lesion mask that is invisible in it."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64] - 32
    disc = rows**2 + columns**2 < 26**2
    images, labels = np.full((8, 1, 64, 64), -1.0, np.float32), np.zeros((8, 64, 64), np.uint8)
    for i in range(8):
        texture = gaussian_filter(random.standard_normal((64, 64)), 1.5)
        images[i, 0, disc] = np.clip(0.2 + texture[disc], -0.8, 1)
        y, x = random.integers(-10, 10, 2)
        labels[i][(rows - y) ** 2 + (columns - x) ** 2 < 8**2] = 1
    return images, labels


def test_labels_invisible_in_the_image_have_no_rims(heads: tuple[np.ndarray, np.ndarray]) -> None:
    """This holds although the head itself has a sharp border."""
    assert 0.85 < rims(*heads)[0] < 1.15


def test_the_metric_grows_with_the_strength_of_the_rim(heads: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = heads
    found = []
    for strength in (0.0, 0.1, 0.2, 0.4):
        drawn = images.copy()
        for i, mask in enumerate(labels > 0):
            drawn[i, 0][binary_dilation(mask) & ~mask] += strength
        found.append(float(rims(drawn, labels)[0]))
    assert found == sorted(found)
    assert found[-1] > 1.5 * found[0]


def test_rims_are_measured_per_modality(heads: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = heads
    drawn = images.copy()
    drawn[:, 0] += 0.5 * (labels > 0)
    clean, marked = rims(np.concatenate([images, drawn], axis=1), labels)
    assert marked > 1.5 * clean


def test_without_labels_there_are_no_rims(heads: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = heads
    assert np.isnan(rims(images, 0 * labels)).all()
