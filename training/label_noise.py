"""What is done to the label channels before the critic sees them, so that it does not go by how crisp they are.

Masks of patients are ±1 and nothing between; a generator's never quite are. A critic can tell the two apart by that
alone, and then teaches the generator edges instead of anatomy. Three remedies, each in a recipe: masks of reals are
smoothed; noise is laid over the masks of both (Sønderby et al. 2016, "instance noise", arXiv:1610.04490); or the
generator's are made crisp, with the gradient handed straight through (Bengio et al. 2013, arXiv:1308.3432).
"""

from __future__ import annotations

import torch

from napari_pgan.model import Encoding
from napari_pgan.model.layers import smoothed
from napari_pgan.training import recipe

_BACKGROUND = -1.0


class LabelNoise:
    """The remedies of a recipe.

    Parameters
    ----------
    plan
        Which, and how strong.
    encoding
        Which channels are labels.
    """

    def __init__(self, plan: recipe.Mask, encoding: Encoding) -> None:
        self.plan, self.encoding = plan, encoding
        self.labels = encoding.label_channel_count

    @property
    def noisy_channels(self) -> int:
        """How many channels need noise."""
        return self.labels if self.plan.noise else 0

    def soften(self, real: torch.Tensor) -> torch.Tensor:
        """Smooth the label channels of reals (N, C, …) by binomial weights, so many times."""
        if not (self.plan.soften and self.labels):
            return real
        images, labels = self._apart(real)
        labels = labels - _BACKGROUND
        for _ in range(self.plan.soften):
            labels = smoothed(labels)
        return torch.cat([images, labels + _BACKGROUND], dim=1)

    def noisy(self, x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Add `noise` (N, labels, …) of unit variance to the label channels of x (N, C, …)."""
        if not self.noisy_channels:
            return x
        images, labels = self._apart(x)
        return torch.cat([images, labels + self.plan.noise * noise.to(labels)], dim=1)

    def crisp(self, x: torch.Tensor) -> torch.Tensor:
        """Set the label channels of x (N, C, …) to what they decode to; their gradient stays as if they were not."""
        if not (self.plan.crisp and self.labels):
            return x
        images, labels = self._apart(x)
        with torch.no_grad():
            hard = self.encoding.encode(images, self.encoding.fractions(self.encoding.decode(x)).to(x))
            step = self._apart(hard)[1] - labels
        return torch.cat([images, labels + step], dim=1)

    def _apart(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cut = x.shape[1] - self.labels
        return x[:, :cut], x[:, cut:]
