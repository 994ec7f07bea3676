"""Changes of the label channels that keep the critic from judging by how crisp they are.

Real label channels are exactly ±1, generated ones never are. A critic can tell the two apart by that alone, and then
teaches the generator edges instead of anatomy. A recipe offers three remedies: smooth the real label channels; add
noise to both (Sønderby et al. 2016, "instance noise", arXiv:1610.04490); or round the generated ones, with a
straight-through gradient (Bengio et al. 2013, arXiv:1308.3432).
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_pgan.model import Encoding
from napari_pgan.model.layers import smoothed
from napari_pgan.training import recipe

_BACKGROUND = -1.0


class LabelNoise:
    """The remedies of a recipe."""

    def __init__(self, plan: recipe.Mask, encoding: Encoding) -> None:
        self.plan, self.encoding = plan, encoding
        self.labels = encoding.label_channel_count

    @property
    def noisy_channels(self) -> int:
        """Number of channels that need noise."""
        return self.labels if self.plan.noise else 0

    def soften(self, real: Tensor) -> Tensor:
        """Smooth the label channels of real images (N, C, …) with a binomial kernel, as often as the recipe says."""
        if not (self.plan.soften and self.labels):
            return real
        images, labels = self._split(real)
        labels = labels - _BACKGROUND
        for _ in range(self.plan.soften):
            labels = smoothed(labels)
        return torch.cat([images, labels + _BACKGROUND], dim=1)

    def add_noise(self, x: Tensor, noise: Tensor) -> Tensor:
        """Add `noise` (N, labels, …) of unit variance to the label channels of x (N, C, …)."""
        if not self.noisy_channels:
            return x
        images, labels = self._split(x)
        return torch.cat([images, labels + self.plan.noise * noise.to(labels)], dim=1)

    def crisp(self, x: Tensor) -> Tensor:
        """Replace the label channels of x (N, C, …) by the labels they decode to; the gradient passes unchanged."""
        if not (self.plan.crisp and self.labels):
            return x
        images, labels = self._split(x)
        with torch.no_grad():
            hard = self.encoding.encode(images, self.encoding.fractions(self.encoding.decode(x)).to(x))
            step = self._split(hard)[1] - labels
        return torch.cat([images, labels + step], dim=1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        cut = x.shape[1] - self.labels
        return x[:, :cut], x[:, cut:]
