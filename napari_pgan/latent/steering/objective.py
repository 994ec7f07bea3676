"""Differentiable distance between generated label channels and a target segmentation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from napari_pgan.model.label_encoding import Encoding

_SHARPNESS = 3.0  # turns label channels in [-1, 1] into logits; background has logit 0, as in decoding
_ABSENT_WEIGHT = 0.3  # weight of a label that the target does not contain
_SMOOTH = 1e-3  # pixels


class Objective:
    """Soft Dice and cross entropy between generated label channels and a target (Isensee et al. 2020,
    doi:10.1038/s41592-020-01008-z), at one size.

    Parameters
    ----------
    shares
        (K, y, x) float32: the target's label shares of each pixel.
    asked
        (y, x) float32: how much of each pixel counts, 0 to 1.
    present
        (K,) bool: labels that the target contains.
    encoding
        Converts labels to channels.
    """

    def __init__(self, shares: torch.Tensor, asked: torch.Tensor, present: torch.Tensor, encoding: Encoding) -> None:
        self.encoding, self.asked = encoding, asked
        self.target = torch.cat([1 - shares.sum(0, keepdim=True), shares])  # (1 + K, y, x), background first
        self.weights = torch.where(present, 1.0, _ABSENT_WEIGHT)
        self.weights /= self.weights.sum()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the distance (N,) of channels (N, C, y, x)."""
        asked, target, weights = (part.to(x.device) for part in (self.asked, self.target, self.weights))
        logs = F.log_softmax(label_logits(x, self.encoding), dim=1)
        mine, theirs = logs[:, 1:].exp() * asked, target[1:] * asked
        both, size = (mine * theirs).sum((2, 3)), mine.sum((2, 3)) + theirs.sum((1, 2))
        dice = (2 * both + _SMOOTH) / (size + _SMOOTH)
        entropy = -(target * asked * logs).sum((1, 2, 3)) / asked.sum().clamp(min=1)
        return ((1 - dice) * weights).sum(1) + entropy


def label_logits(x: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    """Return logits (N, 1 + K, y, x), background first, of channels (N, C, y, x); the largest is the decoded label."""
    if encoding.kind == "onehot":
        raw = x[:, encoding.modality_count :].float()
    else:
        raw = 2 * encoding.probabilities(x).float() - 1
    return torch.cat([torch.zeros_like(raw[:, :1]), _SHARPNESS * raw], dim=1)
