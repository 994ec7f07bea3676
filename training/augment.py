"""Augment the critic's real and generated images, for training on small cohorts.

Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738) for any number of channels: geometry moves image and
labels together, intensity changes the modalities only. The probability of each change stays below 1, so that the
unchanged image is the likeliest and the generator does not learn the changes. It can adapt to how well the critic
distinguishes real from generated images (Karras et al. 2020, "ADA", arXiv:2006.06676).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_pgan.training import recipe

_BACKGROUND = -1.0
_MOST = 0.8  # above, changed images would be likelier than unchanged ones and leak into samples


class Augmentation:
    """The augmentation of a recipe.

    Uniform random numbers are drawn on the host, independent of images and probability, so that a step is a function of
    tensors alone. The modalities precede the labels; `dimensions` counts spatial axes, 2 or 3.
    """

    def __init__(self, plan: recipe.Augment, modalities: int, dimensions: int = 2) -> None:
        self.plan, self.modalities, self.dimensions = plan, modalities, dimensions

    @property
    def active(self) -> bool:
        """Whether any image can change."""
        return self.plan.probability > 0 or self.plan.target is not None

    @property
    def numbers(self) -> int:
        """Random numbers per image."""
        return 4 + self.dimensions + 2 * self.modalities

    def draw(self, n: int, random: torch.Generator) -> Tensor:
        """Draw the random numbers (n, K), uniform in 0 to 1, for n images."""
        return torch.rand(n, self.numbers, generator=random)

    def __call__(self, x: Tensor, drawn: Tensor, probability: Tensor | float) -> Tensor:
        """Augment images (N, C, …) with the random numbers `drawn` (N, K) and a probability (number or 0-d tensor)."""
        if not self.active:
            return x
        d, m = self.dimensions, self.modalities
        affine, shift, intensity = drawn.split([3, 1 + d, 2 * m], dim=1)
        if self.plan.rotate or self.plan.zoom:
            x = self._rotate_and_zoom(x, affine, probability)
        x = self._translate(x, shift, probability)
        return self._intensity(x, intensity, probability)

    def _rotate_and_zoom(self, x: Tensor, drawn: Tensor, probability: Tensor | float) -> Tensor:
        """Rotate in the plane of the last two axes and zoom, by linear interpolation."""
        n, d = len(x), x.ndim - 2
        changed = drawn[:, 0] < probability
        angle = math.radians(self.plan.rotate) * (2 * drawn[:, 1] - 1)
        zoom = (1 + self.plan.zoom) ** (1 - 2 * drawn[:, 2])
        matrix = torch.zeros(n, d, d + 1, device=x.device)
        for axis in range(d):
            matrix[:, axis, axis] = zoom  # above 1 the content gets smaller
        height, width = x.shape[-2:]
        matrix[:, 0, 0], matrix[:, 1, 1] = zoom * angle.cos(), zoom * angle.cos()
        matrix[:, 0, 1], matrix[:, 1, 0] = -zoom * angle.sin() * height / width, zoom * angle.sin() * width / height
        grid = F.affine_grid(matrix, [n, 1, *x.shape[2:]], align_corners=False).to(x.dtype)
        moved = F.grid_sample(x - _BACKGROUND, grid, align_corners=False) + _BACKGROUND
        return torch.where(changed.reshape(-1, *[1] * (x.ndim - 1)), moved, x)

    def _translate(self, x: Tensor, drawn: Tensor, probability: Tensor | float) -> Tensor:
        n, spatial = len(x), x.shape[2:]
        reach = [int(side * self.plan.translate) for side in spatial]
        if not any(reach):
            return x
        moved = (drawn[:, 0] < probability).long()
        sides = [r for r in reversed(reach) for _ in range(2)]
        padded = F.pad(x, sides, value=_BACKGROUND).movedim(1, -1)  # (N, …, C)
        index: list[Tensor] = [torch.arange(n, device=x.device).reshape(-1, *[1] * len(spatial))]
        for axis, (side, r) in enumerate(zip(spatial, reach, strict=True)):
            shift = moved * ((drawn[:, 1 + axis] * (2 * r + 1)).long() - r)
            line = torch.arange(side, device=x.device)[None] + r + shift[:, None]
            index.append(line.reshape(n, *[side if a == axis else 1 for a in range(len(spatial))]))
        return padded[tuple(index)].movedim(-1, 1)

    def _intensity(self, x: Tensor, drawn: Tensor, probability: Tensor | float) -> Tensor:
        n, m = len(x), self.modalities
        changed = drawn[:, :m] < probability
        gain = 1 + changed * self.plan.gain * (2 * drawn[:, m:] - 1)
        gain = F.pad(gain, (0, x.shape[1] - m), value=1.0)  # labels stay
        # relative to the background, which stays black
        gain = gain.reshape(n, -1, *[1] * (x.ndim - 2)).to(x)
        return torch.addcmul(gain * -_BACKGROUND + _BACKGROUND, x, gain)


def adapt_probability(probability: Tensor, overfit: Tensor, images: int, plan: recipe.Augment) -> Tensor:
    """Return the next probability: higher if the critic distinguishes real from generated images too well, else lower.

    Parameters
    ----------
    probability
        0-d.
    overfit
        Mean sign of the critic's scores, −1 to 1 (Karras et al. 2020, section 3.1: r_t).
    images
        Real images since the last call.
    plan
        With the target, and the number of images (`pace`) from probability 0 to 1.
    """
    if plan.target is None:
        return probability
    return (probability + torch.sign(overfit - plan.target) * (images / plan.pace)).clamp(0.0, _MOST)
