"""How far images are from a wish, so that gradients lead there."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from napari_pgan.latent.steering.wish import Wish
from napari_pgan.model.encoding import Encoding

_SHARPNESS = 3.0  # of label channels, which go from -1 to 1, as logits; background is 0, as decoding has it
_UNASKED = 0.3  # weight of a label that nobody asked for
_SMOOTH = 1e-3  # pixels


class Objective:
    """Soft Dice and cross entropy between generated label channels and a wish (Isensee et al. 2020,
    doi:10.1038/s41592-020-01008-z), at one size.

    Parameters
    ----------
    wish
        What is asked for.
    encoding
        How the model writes labels into channels.
    factor
        By how much the images are smaller than the wish.
    """

    def __init__(self, wish: Wish, encoding: Encoding, factor: int = 1) -> None:
        shares, asked = (torch.from_numpy(x) for x in wish.shares(factor))
        self.encoding, self.asked = encoding, asked
        self.target = torch.cat([1 - shares.sum(0, keepdim=True), shares])  # (1 + K, y, x), background first
        present = torch.from_numpy(wish.present)
        self.weights = torch.where(present, 1.0, _UNASKED)
        self.weights /= self.weights.sum()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Channels (N, C, y, x) → how far each image is, (N,)."""
        logs = F.log_softmax(label_logits(x, self.encoding), dim=1)
        mine = logs[:, 1:].exp() * self.asked
        theirs = self.target[1:] * self.asked
        both, size = (mine * theirs).sum((2, 3)), mine.sum((2, 3)) + theirs.sum((1, 2))
        dice = (2 * both + _SMOOTH) / (size + _SMOOTH)
        entropy = -(self.target * self.asked * logs).sum((1, 2, 3)) / self.asked.sum().clamp(min=1)
        return ((1 - dice) * self.weights).sum(1) + entropy


def label_logits(x: torch.Tensor, encoding: Encoding) -> torch.Tensor:
    """Of channels (N, C, y, x): (N, 1 + K, y, x), background first, whose largest is the decoded label."""
    if encoding.kind == "onehot":
        raw = x[:, encoding.modality_count :].float()
    else:
        raw = 2 * encoding.probabilities(x).float() - 1
    return torch.cat([torch.zeros_like(raw[:, :1]), _SHARPNESS * raw], dim=1)
