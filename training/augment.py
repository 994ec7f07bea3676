"""Changes that are shown to the critic on reals and generated images alike, so that few reals go further.

Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738), for any number of channels: geometry moves image and
labels together, intensity touches the modalities only. Each change happens with a probability below 1, so that the
unchanged image stays the likeliest and the generator does not learn the changes. That probability may follow how far
the critic tells reals from generated images (Karras et al. 2020, "ADA", arXiv:2006.06676).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from napari_pgan.training import recipe

_BACKGROUND = -1.0
_MOST = 0.8  # above it, the changed image would be likelier than the unchanged one and leak into samples


class Augmentation:
    """The changes of a recipe.

    What is random is drawn on the host, as uniform numbers that know nothing of the images or of how likely a change
    is; so a step is a function of tensors alone.

    Parameters
    ----------
    plan
        Probability and strengths.
    modalities
        How many of the channels, from the first, are modalities.
    dimensions
        Spatial axes, 2 or 3.
    """

    def __init__(self, plan: recipe.Augment, modalities: int, dimensions: int = 2) -> None:
        self.plan, self.modalities, self.dimensions = plan, modalities, dimensions

    @property
    def active(self) -> bool:
        """Whether any image is ever changed."""
        return self.plan.probability > 0 or self.plan.target is not None

    @property
    def numbers(self) -> int:
        """How many random numbers decide the changes of one image."""
        return 4 + self.dimensions + 2 * self.modalities

    def draw(self, n: int, random: torch.Generator) -> torch.Tensor:
        """Uniform numbers (n, K) in 0 to 1, which decide all changes of n images."""
        return torch.rand(n, self.numbers, generator=random)

    def __call__(self, x: torch.Tensor, drawn: torch.Tensor, probability: torch.Tensor | float) -> torch.Tensor:
        """Change images (N, C, …) as `drawn` (N, K) says, each change with a probability (a number or a 0-d tensor)."""
        if not self.active:
            return x
        d, m = self.dimensions, self.modalities
        turn, shift, bright = drawn.split([3, 1 + d, 2 * m], dim=1)
        if self.plan.rotate or self.plan.zoom:
            x = self._turn(x, turn, probability)
        x = self._translate(x, shift, probability)
        return self._intensity(x, bright, probability)

    def _turn(self, x: torch.Tensor, drawn: torch.Tensor, probability: torch.Tensor | float) -> torch.Tensor:
        """Rotate in the plane of the last two axes and enlarge, by linear interpolation."""
        n, d = len(x), x.ndim - 2
        changed = drawn[:, 0] < probability
        angle = math.radians(self.plan.rotate) * (2 * drawn[:, 1] - 1)
        zoom = (1 + self.plan.zoom) ** (1 - 2 * drawn[:, 2])
        matrix = torch.zeros(n, d, d + 1, device=x.device)
        for axis in range(d):
            matrix[:, axis, axis] = zoom  # sampled further out: the head gets smaller
        height, width = x.shape[-2:]
        matrix[:, 0, 0], matrix[:, 1, 1] = zoom * angle.cos(), zoom * angle.cos()
        matrix[:, 0, 1], matrix[:, 1, 0] = -zoom * angle.sin() * height / width, zoom * angle.sin() * width / height
        grid = F.affine_grid(matrix, [n, 1, *x.shape[2:]], align_corners=False).to(x.dtype)
        turned = F.grid_sample(x - _BACKGROUND, grid, align_corners=False) + _BACKGROUND
        return torch.where(changed.reshape(-1, *[1] * (x.ndim - 1)), turned, x)

    def _translate(self, x: torch.Tensor, drawn: torch.Tensor, probability: torch.Tensor | float) -> torch.Tensor:
        n, spatial = len(x), x.shape[2:]
        reach = [int(side * self.plan.translate) for side in spatial]
        if not any(reach):
            return x
        moved = (drawn[:, 0] < probability).long()
        sides = [r for r in reversed(reach) for _ in range(2)]
        padded = F.pad(x, sides, value=_BACKGROUND).movedim(1, -1)  # (N, …, C)
        index: list[torch.Tensor] = [torch.arange(n, device=x.device).reshape(-1, *[1] * len(spatial))]
        for axis, (side, r) in enumerate(zip(spatial, reach, strict=True)):
            shift = moved * ((drawn[:, 1 + axis] * (2 * r + 1)).long() - r)
            line = torch.arange(side, device=x.device)[None] + r + shift[:, None]
            index.append(line.reshape(n, *[side if a == axis else 1 for a in range(len(spatial))]))
        return padded[tuple(index)].movedim(-1, 1)

    def _intensity(self, x: torch.Tensor, drawn: torch.Tensor, probability: torch.Tensor | float) -> torch.Tensor:
        n, m = len(x), self.modalities
        changed = drawn[:, :m] < probability
        gain = 1 + changed * self.plan.gain * (2 * drawn[:, m:] - 1)
        gain = F.pad(gain, (0, x.shape[1] - m), value=1.0)  # labels stay
        # measured from the background, so that what lies outside the head stays black
        gain = gain.reshape(n, -1, *[1] * (x.ndim - 2)).to(x)
        return torch.addcmul(gain * -_BACKGROUND + _BACKGROUND, x, gain)


def adapted(probability: torch.Tensor, overfit: torch.Tensor, images: int, plan: recipe.Augment) -> torch.Tensor:
    """The probability that follows: up while the critic tells reals from generated images too well, down otherwise.

    Parameters
    ----------
    probability
        0-d.
    overfit
        Mean sign of the critic's scores, −1 to 1 (Karras et al. 2020, section 3.1: r_t).
    images
        How many reals were seen since it was last adapted.
    plan
        Its target, and how many images a way from 0 to 1 takes.
    """
    if plan.target is None:
        return probability
    return (probability + torch.sign(overfit - plan.target) * (images / plan.pace)).clamp(0.0, _MOST)
