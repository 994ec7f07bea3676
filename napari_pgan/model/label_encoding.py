"""Encoding of labels as image channels in [-1, 1]."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from napari_pgan.errors import InputError
from napari_pgan.schema import Channels

Kind = Literal["onehot", "grey"]


class Encoding:
    """Converts between segmentations and image channels.

    ``onehot`` uses one channel per label, +1 inside the label and −1 outside; the decoded label is the largest channel
    if it is above 0, else background. ``grey`` encodes all labels in one channel at equally spaced levels, background
    at −1 (Beers et al. 2018, arXiv:1805.03144); the decoded label is the nearest level. Both are linear in the labels'
    fractions, so a box average of the channels is the encoding of the averaged fractions. Both decode a crisp
    segmentation exactly.

    Parameters
    ----------
    channels
        Modalities and labels.
    kind
        ``onehot`` or ``grey``.
    """

    def __init__(self, channels: Channels, kind: Kind = "onehot") -> None:
        if kind not in get_args(Kind):
            raise InputError(f"labels cannot be encoded as {kind!r}; give {' or '.join(get_args(Kind))}")
        self.channels, self.kind = channels, kind
        self.modality_count = len(channels.modalities)
        self.label_count = len(channels.labels)
        self._levels = torch.linspace(-1, 1, self.label_count + 1)

    @property
    def label_channel_count(self) -> int:
        """Number of label channels."""
        return self.label_count if self.kind == "onehot" else min(self.label_count, 1)

    @property
    def channel_count(self) -> int:
        """Total number of channels: the modalities first, then the labels."""
        return self.modality_count + self.label_channel_count

    def encode(self, images: torch.Tensor, fractions: torch.Tensor) -> torch.Tensor:
        """Concatenate images and encoded labels.

        Parameters
        ----------
        images
            (N, M, …) in [-1, 1].
        fractions
            (N, K, …): share of each label in a pixel, 0 to 1, without background.

        Returns
        -------
        torch.Tensor
            (N, C, …).
        """
        if self.label_count == 0:
            return images
        if self.kind == "onehot":
            return torch.cat([images, 2 * fractions - 1], dim=1)
        steps = (self._levels[1:] + 1).to(fractions).reshape(1, -1, *[1] * (fractions.ndim - 2))
        return torch.cat([images, (fractions * steps).sum(1, keepdim=True) - 1], dim=1)

    def fractions(self, labels: torch.Tensor) -> torch.Tensor:
        """Return one-hot fractions (N, K, …) of label maps (N, …) in the original label values."""
        values = torch.as_tensor(self.channels.values, device=labels.device)
        return (labels[:, None] == values.reshape(1, -1, *[1] * (labels.ndim - 1))).float()

    def images(self, x: torch.Tensor) -> torch.Tensor:
        """Return the modalities (N, M, …) of channels (N, C, …)."""
        return x[:, : self.modality_count]

    def probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """Return the label probabilities (N, K, …), 0 to 1, of channels (N, C, …); differentiable."""
        raw = x[:, self.modality_count :]
        if self.kind == "onehot" or self.label_count == 0:
            return ((raw + 1) / 2).clamp(0, 1)
        # between two levels the grey value is a mixture of both: a triangle around each level
        levels = self._levels[1:].to(raw).reshape(1, -1, *[1] * (raw.ndim - 2))
        width = 2 / self.label_count
        return (1 - (raw.clamp(-1, 1) - levels).abs() / width).clamp(min=0)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Return the label map (N, …), uint8 in the original values, of channels (N, C, …)."""
        raw = x[:, self.modality_count :]
        if self.label_count == 0:
            return torch.zeros_like(x[:, 0], dtype=torch.uint8)
        table = torch.cat([torch.zeros(1, dtype=torch.uint8), torch.as_tensor(self.channels.values)]).to(x.device)
        if self.kind == "onehot":
            best, index = raw.max(dim=1)
            return table[torch.where(best > 0, index + 1, 0)]
        index = ((raw[:, 0].clamp(-1, 1) + 1) / 2 * self.label_count).round().long()
        return table[index]
