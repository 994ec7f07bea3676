"""Lesion contrast on images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from contrast import lesion_contrast

from napari_pgan.phantom import CHANNELS, make_subject

MODALITY = {name: i for i, name in enumerate(CHANNELS.modalities)}
VALUE = {label.name: label.value for label in CHANNELS.labels}


def make_image(oedema: float = 0.5, rim: float = 0.8, core: float = -0.5) -> tuple[np.ndarray, np.ndarray]:
    """One slice: a brain of brightness 0 with a core, a rim around it and oedema next to it."""
    images, labels = np.full((1, 4, 32, 32), -1.0), np.zeros((1, 32, 32), np.uint8)
    images[:, :, 4:28, 4:28] = 0.0
    labels[0, 10:16, 10:16], labels[0, 11:15, 11:15] = VALUE["enhancing tumour"], VALUE["necrotic core"]
    labels[0, 16:22, 10:16] = VALUE["oedema"]
    images[:, MODALITY["flair"]][labels == VALUE["oedema"]] = oedema
    images[:, MODALITY["t1ce"]][labels == VALUE["enhancing tumour"]] = rim
    images[:, MODALITY["t1ce"]][labels == VALUE["necrotic core"]] = core
    return images, labels


@pytest.mark.parametrize(
    ("oedema", "rim", "expected"), [(0.5, 0.8, (1, 1, 1)), (-0.5, 0.8, (0, 1, 0)), (0.5, -0.8, (1, 0, 0))]
)
def test_each_finding_is_counted(oedema: float, rim: float, expected: tuple[int, int, int]) -> None:
    found = lesion_contrast(*make_image(oedema, rim), CHANNELS)
    assert (found.oedema.shown, found.rim.shown, found.both.shown) == expected
    assert found.lesions == found.oedema.of == found.rim.of == found.both.of == 1


def test_small_lesions_and_missing_parts_are_not_counted() -> None:
    images, labels = make_image()
    assert lesion_contrast(images, labels, CHANNELS, min_lesion=100).lesions == 0
    labels[labels == VALUE["necrotic core"]] = VALUE["enhancing tumour"]
    found = lesion_contrast(images, labels, CHANNELS)
    assert (found.oedema.of, found.rim.of, found.both.of) == (1, 0, 1)


def test_phantoms_nearly_always_show_both_findings() -> None:
    subject = make_subject(3, size=48)
    images = np.stack([subject.images[name] for name in CHANNELS.modalities], axis=1)  # (Z, M, Y, X)
    images = images / np.percentile(images, 99.9, axis=(0, 2, 3), keepdims=True) * 2 - 1
    found = lesion_contrast(images, subject.labels, CHANNELS)
    assert found.lesions > 5
    assert found.both.value > 0.9
    shuffled = lesion_contrast(images, subject.labels[:, ::-1, ::-1], CHANNELS)
    assert shuffled.both.value < found.both.value
