"""Smoothing, noise and rounding of label channels."""

from __future__ import annotations

import pytest
import torch

from napari_pgan.model import Encoding
from napari_pgan.schema import Channels, Label
from napari_pgan.training.label_noise import LabelNoise
from napari_pgan.training.recipe import Mask

ENCODING = Encoding(Channels(("t1", "flair"), (Label(1, "core", "#ff0000"), Label(4, "rim", "#00ff00"))))


@pytest.fixture
def crisp() -> torch.Tensor:
    labels = torch.zeros(3, 16, 16, dtype=torch.uint8)
    labels[:, 4:9, 4:9], labels[:, 9:12, 4:12] = 1, 4
    return ENCODING.encode(torch.rand(3, 2, 16, 16) * 2 - 1, ENCODING.fractions(labels))


def test_default_changes_nothing(crisp: torch.Tensor) -> None:
    label_noise = LabelNoise(Mask(), ENCODING)
    for changed in (
        label_noise.soften(crisp),
        label_noise.add_noise(crisp, torch.randn(3, 0, 16, 16)),
        label_noise.crisp(crisp),
    ):
        assert changed is crisp


def test_smoothing_keeps_position_and_area(crisp: torch.Tensor) -> None:
    for times in (1, 3):
        soft = LabelNoise(Mask(soften=times), ENCODING).soften(crisp)
        assert torch.equal(soft[:, :2], crisp[:, :2])
        assert len(soft[:, 2:].unique()) > len(crisp[:, 2:].unique())
        assert soft[:, 2:].abs().max() <= 1
        torch.testing.assert_close(soft[:, 2:].sum((2, 3)), crisp[:, 2:].sum((2, 3)))  # the sum stays
    once = ENCODING.decode(LabelNoise(Mask(soften=1), ENCODING).soften(crisp))
    assert (once != ENCODING.decode(crisp)).float().mean() < 0.05


def test_noise_changes_only_labels_and_has_the_right_strength(crisp: torch.Tensor) -> None:
    label_noise = LabelNoise(Mask(noise=0.5), ENCODING)
    noise = torch.randn(3, label_noise.noisy_channels, 16, 16)
    noisy = label_noise.add_noise(crisp, noise)
    assert torch.equal(noisy[:, :2], crisp[:, :2])
    torch.testing.assert_close(noisy[:, 2:] - crisp[:, 2:], 0.5 * noise)


def test_rounded_labels_decode_alike_and_pass_the_gradient(crisp: torch.Tensor) -> None:
    label_noise = LabelNoise(Mask(crisp=True), ENCODING)
    vague = (crisp + 0.4 * torch.randn_like(crisp)).requires_grad_(True)
    hard = label_noise.crisp(vague)
    assert torch.equal(ENCODING.decode(hard), ENCODING.decode(vague))
    assert (hard[:, 2:].abs() - 1).abs().max() < 1e-5
    weight = torch.randn_like(hard)
    (hard * weight).sum().backward()
    torch.testing.assert_close(vague.grad, weight)


def test_real_labels_are_unchanged_by_rounding(crisp: torch.Tensor) -> None:
    torch.testing.assert_close(LabelNoise(Mask(crisp=True), ENCODING).crisp(crisp), crisp)
